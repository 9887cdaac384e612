"""Notices: what people are told, kept in the warehouse until every channel has taken it.

A channel gets a notice once, unless the process dies between the sending and the note of it: then twice. One that does
not work is tried again with the next delivery, for `SECONDS`, and holds up no other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import psycopg

from include.sql import load_sql

SECONDS = 86_400
"""A notice older than this is news to nobody."""


class ChannelError(RuntimeError):
    """A channel did not take a notice; the message says why."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that people are told; ``subject`` and ``message`` are plain text, the subject one line."""

    notice_id: int
    at: datetime
    subject: str
    message: str


class Channel(Protocol):
    """A way to people."""

    @property
    def name(self) -> str:
        """Tells it from others."""

    def send(self, notice: Notice) -> None:
        """Send it.

        Raises:
            ChannelError: it was not taken.
        """


def note(conn: psycopg.Connection, subject: str, message: str) -> Notice:
    """Keep a notice, to be delivered; in the transaction of what it is about."""
    values = {"subject": subject, "message": message}
    ((notice_id, at),) = conn.execute(load_sql("alerts/note"), values).fetchall()
    return Notice(notice_id, at, subject, message)


def deliver(conn: psycopg.Connection, channels: Iterable[Channel]) -> dict[str, str]:
    """Send through each channel, oldest first, what it has not taken yet. ``conn`` is in autocommit mode.

    Returns why a channel took no more, by its name.

    Raises:
        psycopg.Error: the warehouse does not answer.
    """
    failures = {}
    for channel in channels:
        values = {"channel": channel.name, "seconds": SECONDS}
        for row in conn.execute(load_sql("alerts/due"), values).fetchall():
            notice = Notice(*row)
            try:
                channel.send(notice)
            except ChannelError as error:
                failures[channel.name] = str(error)
                break
            conn.execute(load_sql("alerts/sent"), {"channel": channel.name, "notice_id": notice.notice_id})
    return failures
