"""Makes what the DAGs expect to find, where Airflow's connections say that the servers are.

    python -m paylake_airflow.prepare databases tables topics buckets pools

Each step may be repeated, also after an upgrade: what is there stays. ``databases`` also sets the passwords of its
roles; it reads POSTGRES_PASSWORD (the superuser's), WAREHOUSE_PASSWORD and AIRFLOW_DB_PASSWORD, and is for a server of
our own: a managed one has its databases made by whoever manages it.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from urllib.parse import quote

from include.docker.env_file import PROCESSORS
from include.pools import pools_for
from include.settings import MissingSettingError
from include.stack import stores
from include.warehouse.databases import ensure_databases
from paylake_airflow import hooks

log = logging.getLogger("paylake.prepare")

# Its memory is enough for one job beside the stream.
CONTAINER_POOLS = pools_for(PROCESSORS)


def databases() -> None:
    """The databases of the warehouse and of Airflow, and their roles.

    Raises:
        MissingSettingError: a password is not set.
        psycopg.Error: the server can not be reached, or refuses.
    """
    passwords = [os.environ.get(name) for name in ("POSTGRES_PASSWORD", "WAREHOUSE_PASSWORD", "AIRFLOW_DB_PASSWORD")]
    superuser, warehouse, airflow = passwords
    if not (superuser and warehouse and airflow):
        raise MissingSettingError("POSTGRES_PASSWORD, WAREHOUSE_PASSWORD and AIRFLOW_DB_PASSWORD have to be set")
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    known = PostgresHook(postgres_conn_id=hooks.WAREHOUSE_CONN_ID).connection
    place = f"{known.host}:{known.port or 5432}/postgres"
    ensure_databases(f"postgresql://postgres:{quote(superuser, safe='')}@{place}", warehouse, airflow)


def tables() -> None:
    """The warehouse's tables and views, as this version describes them."""
    stores.make_tables(hooks.stack_settings())


def topics() -> None:
    """Kafka's topics."""
    stores.make_topics(hooks.stack_settings())


def buckets() -> None:
    """The lake's buckets."""
    stores.make_buckets(hooks.stack_settings())


def pools() -> None:
    """Airflow's pools, in its migrated database; one that somebody has resized stays as it is."""
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session

    with create_session() as session:
        for name, (slots, description, instead_of) in CONTAINER_POOLS.items():
            there = Pool.get_pool(name, session=session)
            if there is None or there.slots == instead_of:
                Pool.create_or_update_pool(name, slots, description, include_deferred=False, session=session)


STEPS: dict[str, Callable[[], None]] = {step.__name__: step for step in (databases, tables, topics, buckets, pools)}


def main() -> None:
    """Run the steps that the arguments name, in their order."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    wanted = sys.argv[1:]
    if not wanted or (unknown := [name for name in wanted if name not in STEPS]):
        sys.exit(f"paylake: {unknown[0] if wanted else 'no step'} is no step; there are {', '.join(STEPS)}.")
    try:
        for name in wanted:
            STEPS[name]()
            log.info("%s: done", name)
    except MissingSettingError as error:
        sys.exit(f"paylake: {error}.")


if __name__ == "__main__":
    main()
