"""An overdue asset raises one alarm, a fresh one clears it, and every channel gets each notice once."""

from __future__ import annotations

from dataclasses import dataclass, field

import psycopg
import pytest

from include.alerts.freshness import follow, forget
from include.alerts.notices import ChannelError, Notice, deliver

pytestmark = pytest.mark.integration


@dataclass
class Mailbox:
    """A channel that keeps what it takes, while it works."""

    name: str
    works: bool = True
    taken: list[str] = field(default_factory=list)

    def send(self, notice: Notice) -> None:
        if not self.works:
            raise ChannelError(f"{self.name} is away")
        self.taken.append(notice.subject)


def test_an_alarm_is_raised_once_and_cleared_once(conn: psycopg.Connection) -> None:
    late = {"gold/USERS": "newer data wait"}
    assert [one.subject for one in follow(conn, late, ["checks/books"])] == ["gold/USERS is overdue"]
    assert follow(conn, {"gold/USERS": "newer data wait for longer"}, []) == []
    assert follow(conn, {}, []) == [], "nobody knows how it is"
    (cleared,) = follow(conn, {}, ["gold/USERS", "checks/books"])
    assert cleared.subject == "gold/USERS is fresh again"
    assert cleared.message.endswith("UTC it was not: newer data wait")
    assert follow(conn, {}, ["gold/USERS"]) == []
    assert len(follow(conn, late, [])) == 1


def test_each_channel_gets_each_notice_once_and_one_that_is_away_holds_up_no_other(conn: psycopg.Connection) -> None:
    here, away = Mailbox("here"), Mailbox("away", works=False)
    follow(conn, {"a": "x"}, [])
    assert deliver(conn, [away, here]) == {"away": "away is away"}
    follow(conn, {}, ["a"])
    assert deliver(conn, [away, here]) == {"away": "away is away"}
    assert (here.taken, away.taken) == (["a is overdue", "a is fresh again"], [])
    away.works = True
    assert deliver(conn, [away, here]) == {}
    assert deliver(conn, [away, here]) == {}
    assert here.taken == away.taken == ["a is overdue", "a is fresh again"]


def test_what_is_old_is_told_to_nobody_and_forgotten_but_for_open_alarms(conn: psycopg.Connection) -> None:
    follow(conn, {"a": "x", "b": "y"}, [])
    follow(conn, {}, ["a"])
    conn.execute("UPDATE ops.notice SET at = at - interval '25 hours'")
    box = Mailbox("here")
    assert (deliver(conn, [box]), box.taken) == ({}, [])
    conn.execute("UPDATE ops.notice SET at = at - interval '40 days'")
    conn.execute(
        "UPDATE ops.freshness_alarm SET raised_at = raised_at - interval '40 days', cleared_at = cleared_at - interval"
        " '40 days'"
    )
    forget(conn, 30)
    assert conn.execute("SELECT count(*) FROM ops.notice").fetchone() == (0,)
    assert conn.execute("SELECT asset FROM ops.freshness_alarm").fetchall() == [("b",)]
