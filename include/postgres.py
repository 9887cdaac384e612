"""The one way to connect to the warehouse."""

from __future__ import annotations

import psycopg
from psycopg.conninfo import conninfo_to_dict

# A client that was paused in the middle of a transaction must not hold its locks for longer than others wait for them.
SESSION_OPTIONS = "-c timezone=UTC -c lock_timeout=5min -c idle_in_transaction_session_timeout=2min"


def connect(dsn: str, application_name: str = "paylake") -> psycopg.Connection:
    """Connect to the warehouse at ``dsn`` (a libpq URI).

    The connection is in autocommit mode: what belongs together stands in ``with conn.transaction():``, which then
    is always a transaction of its own and never a mere savepoint. A lost server is noticed within about 30 seconds.

    Raises:
        psycopg.OperationalError: the server does not answer within 10 seconds or refuses.
    """
    own_options = conninfo_to_dict(dsn).get("options")
    return psycopg.connect(
        dsn,
        autocommit=True,
        application_name=application_name,
        connect_timeout=10,
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=4,
        tcp_user_timeout=30_000,
        options=f"{SESSION_OPTIONS} {own_options}" if own_options else SESSION_OPTIONS,
    )
