"""Cases on a real PostgreSQL: which alerts are one, what people do with it, and an audit trail that nobody edits."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from include.cases import work
from include.cases.opening import open_cases
from include.cases.work import CaseError
from include.casework.cases import app
from include.fraud.settle import stored_frauds
from include.postgres import connect
from include.settings import Settings
from tests.support.casework import START, fraud, run_app
from tests.support.fraud_sink import judge
from tests.support.records import in_bronze, payment
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

MOMENT = datetime(2026, 2, 1, tzinfo=UTC)
EARLIER = "2026-01-30 18:00:00"
"""Long enough before the time of other payments to have flown."""
DAY = timedelta(hours=24)


def alerts_by_case(conn: psycopg.Connection) -> list[list[str]]:
    """The transactions of each case, in the order in which the cases were opened."""
    rows = conn.execute("SELECT array_agg(txn_id ORDER BY txn_id) FROM case_alerts GROUP BY case_id ORDER BY case_id")
    return [txn_ids for (txn_ids,) in rows]


def audit(conn: psycopg.Connection) -> list[tuple[Any, ...]]:
    return conn.execute("SELECT who, what, from_state, to_state, note FROM ops.case_event ORDER BY event_id").fetchall()


@pytest.mark.parametrize(
    ("hours", "cases"),
    [
        ([0, 24, 48], [["T0", "T1", "T2"]]),
        ([0, 24.001], [["T0"], ["T1"]]),
        ([30, 0], [["T0"], ["T1"]]),
        # Late ones join what they belong to; between two, the newer one.
        ([0, 60, 1, 59], [["T0", "T2"], ["T1", "T3"]]),
        ([0, 48, 24], [["T0"], ["T1", "T2"]]),
        ([5, 5, 5], [["T0", "T1", "T2"]]),
    ],
)
def test_alerts_of_a_user_within_the_cool_down_are_one_case(
    conn: psycopg.Connection, hours: list[float], cases: list[list[str]]
) -> None:
    open_cases(conn, [fraud(number, hours=hour) for number, hour in enumerate(hours)], MOMENT)
    assert alerts_by_case(conn) == cases


def test_a_case_says_what_its_alerts_add_up_to(conn: psycopg.Connection) -> None:
    open_cases(conn, [fraud(1, hours=3, amount="0.1"), fraud(2, user="U2"), fraud(3, hours=1, amount="0.2")], MOMENT)
    later = MOMENT + timedelta(seconds=1)
    open_cases(conn, [fraud(4, hours=-2, amount="1000"), fraud(5, hours=5, amount="0.0001")], later)
    second, first = work.find_cases(conn)[::-1]
    assert (second.user_id, second.alerts, second.last_alert_at) == ("U2", 1, MOMENT)
    assert (first.user_id, first.state, first.alerts, first.amount) == ("U1", "open", 4, Decimal("1000.3001"))
    assert (first.opened_at, first.last_alert_at) == (MOMENT, later)
    assert (first.first_timestamp, first.last_timestamp) == (START - timedelta(hours=2), START + timedelta(hours=5))
    assert audit(conn) == [("paylake", "opened", None, "open", None)] * 2


def test_an_alert_that_has_its_case_keeps_it(conn: psycopg.Connection) -> None:
    open_cases(conn, [fraud(1), fraud(2, hours=30)], MOMENT)
    before = conn.execute("SELECT * FROM cases").fetchall()
    open_cases(conn, [fraud(1), fraud(2, hours=30)], MOMENT + DAY)
    open_cases(conn, [], MOMENT + DAY)
    assert conn.execute("SELECT * FROM cases").fetchall() == before
    work.mark(conn, work.find_cases(conn)[0].case_id, "confirmed", "ana")
    open_cases(conn, [fraud(1), fraud(2, hours=30), fraud(3, hours=31)], MOMENT + DAY)
    assert alerts_by_case(conn) == [["T1"], ["T2"], ["T3"]]


Step = tuple[str, int] | str
"""An alert of a user at some hour, or a user whose newest live case is marked as a false alarm."""
USERS = ("U1", "U2")
STEPS = st.lists(
    st.one_of(st.tuples(st.sampled_from(USERS), st.integers(0, 80)), st.sampled_from(USERS)), min_size=2, max_size=8
)


def expected(steps: Sequence[Step]) -> list[list[str]]:
    """What the words of `open_cases` say, one alert after another."""
    cases: list[tuple[str, list[int], list[str]]] = []
    live: list[int] = []
    for number, step in enumerate(steps):
        if isinstance(step, str):
            mine = [place for place in live if cases[place][0] == step]
            live = [place for place in live if place not in mine[-1:]]
            continue
        user, hour = step
        near = [
            place
            for place in live
            if cases[place][0] == user and any(abs(hour - other) <= 24 for other in cases[place][1])
        ]
        if not near:
            live.append(len(cases))
            cases.append((user, [], []))
        _, hours, txn_ids = cases[near[-1] if near else -1]
        hours.append(hour)
        txn_ids.append(f"T{number}")
    return [sorted(txn_ids) for _, _, txn_ids in cases]


def write(conn: psycopg.Connection, steps: Sequence[Step], cuts: Iterable[bool]) -> None:
    """Do the steps, with a batch's end after each alert that has a cut."""
    batch: list[dict[str, Any]] = []
    for number, (step, cut) in enumerate(zip(steps, cuts, strict=True)):
        if not isinstance(step, str):
            batch.append(fraud(number, *step))
        if cut or isinstance(step, str):
            open_cases(conn, batch, MOMENT)
            batch = []
        if isinstance(step, str) and (mine := work.find_cases(conn, states=work.LIVE, user_id=step)):
            work.mark(conn, max(case.case_id for case in mine), "false_alarm", "ana")
    open_cases(conn, batch, MOMENT)


@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, data=st.data())
def test_the_same_alerts_are_the_same_cases_however_they_are_cut_into_batches(
    conn: psycopg.Connection, steps: list[Step], data: st.DataObject
) -> None:
    cuts = data.draw(st.lists(st.booleans(), min_size=len(steps), max_size=len(steps)))
    with conn.transaction(force_rollback=True):
        write(conn, steps, cuts)
        assert alerts_by_case(conn) == expected(steps)
        sums = "SELECT alerts, amount FROM cases ORDER BY case_id"
        assert conn.execute(sums).fetchall() == [(len(one), len(one) * Decimal("10.0001")) for one in expected(steps)]


def test_many_live_cases_of_one_user_are_not_looked_through_for_each_alert(conn: psycopg.Connection) -> None:
    def seconds(count: int) -> float:
        """What this process works for so many new cases, and for an alert more in each."""
        with conn.transaction(force_rollback=True):
            began = time.process_time()
            open_cases(conn, [fraud(number, hours=50 * number) for number in range(count)], MOMENT)
            open_cases(conn, [fraud(count + number, hours=50 * number + 20) for number in range(count)], MOMENT)
            spent = time.process_time() - began
            assert conn.execute("SELECT count(*), min(alerts) FROM cases").fetchone() == (count, 2)
        return spent

    seconds(10)
    # Eight times as many: 64 times as long, if each were looked at.
    assert seconds(8_000) < 24 * seconds(1_000)


def test_a_case_that_somebody_is_closing_takes_no_alert_in(own: Settings, conn: psycopg.Connection) -> None:
    open_cases(conn, [fraud(1)], MOMENT)
    ((case_id,),) = conn.execute("SELECT case_id FROM cases").fetchall()
    waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
    with connect(own.warehouse_dsn) as analyst, connect(own.warehouse_dsn) as stream, ThreadPoolExecutor(1) as pool:
        with analyst.transaction():
            work.mark(analyst, case_id, "confirmed", "ana")
            scoring = pool.submit(open_cases, stream, [fraud(2, hours=1)], MOMENT)
            wait_until(lambda: conn.execute(waiting).fetchone() == (True,), "the batch that waits for the case")
        scoring.result(60)
    assert alerts_by_case(conn) == [["T1"], ["T2"]]


def test_a_case_is_taken_marked_and_closed_and_a_mark_can_be_mended(conn: psycopg.Connection) -> None:
    open_cases(conn, [fraud(1), fraud(2, hours=1)], MOMENT)
    case_id = work.find_cases(conn)[0].case_id
    work.take(conn, case_id, "ana")
    open_cases(conn, [fraud(3, hours=2)], MOMENT)
    with pytest.raises(CaseError, match=f"case {case_id} is taken by ana already"):
        work.take(conn, case_id, "ana")
    work.take(conn, case_id, "ben")
    assert (case := work.find_case(conn, case_id)).assignee == "ben"
    assert (case.state, case.alerts, case.marked_at) == ("taken", 3, None)
    work.mark(conn, case_id, "confirmed", "ben", "he said so")
    with pytest.raises(CaseError, match="is marked as confirmed already"):
        work.mark(conn, case_id, "confirmed", "ana")
    with pytest.raises(CaseError, match="is marked as confirmed and can not be taken any more"):
        work.take(conn, case_id, "ana")
    work.add_note(conn, case_id, "ana", "the card came back")
    marks = "SELECT txn_id, mark, marked_by, case_id FROM transaction_marks ORDER BY txn_id"
    assert conn.execute(marks).fetchall() == [(f"T{n}", "confirmed", "ben", case_id) for n in (1, 2, 3)]
    work.mark(conn, case_id, "false_alarm", "ana")
    open_cases(conn, [fraud(4, hours=2)], MOMENT)
    assert conn.execute(marks).fetchall() == [(f"T{n}", "false_alarm", "ana", case_id) for n in (1, 2, 3)]
    assert audit(conn) == [
        ("paylake", "opened", None, "open", None),
        ("ana", "taken", "open", "taken", None),
        ("ben", "taken", "taken", "taken", None),
        ("ben", "marked", "taken", "confirmed", "he said so"),
        ("ana", "noted", "confirmed", "confirmed", "the card came back"),
        ("ana", "marked", "confirmed", "false_alarm", None),
        ("paylake", "opened", None, "open", None),
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ops.case_event SET who = 'nobody'",
        "DELETE FROM ops.case_event WHERE who = 'nobody'",
        "TRUNCATE ops.case_event",
        "UPDATE ops.mark SET mark = 'false_alarm'",
        "DELETE FROM ops.mark",
        "TRUNCATE ops.mark",
        "TRUNCATE public.cases CASCADE",
        "UPDATE ops.list_change SET reason = 'another'",
        "DELETE FROM ops.list_change",
        "TRUNCATE ops.list_change",
    ],
)
def test_the_audit_trail_is_append_only_for_its_owner_too(conn: psycopg.Connection, statement: str) -> None:
    open_cases(conn, [fraud(1)], MOMENT)
    owner = "SELECT tableowner = current_user FROM pg_tables WHERE tablename = 'case_event'"
    assert conn.execute(owner).fetchone() == (True,)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="is append only"):
        conn.execute(statement)
    assert len(audit(conn)) == 1


def test_a_case_can_not_leave_its_audit_trail_behind(conn: psycopg.Connection) -> None:
    open_cases(conn, [fraud(1)], MOMENT)
    conn.execute("DELETE FROM case_alerts")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        conn.execute("DELETE FROM cases")


def test_a_reader_sees_cases_and_marks_and_changes_none(conn: psycopg.Connection) -> None:
    open_cases(conn, [fraud(1)], MOMENT)
    conn.execute("SET ROLE paylake_reader")
    assert conn.execute("SELECT user_id, user_name, rules FROM case_overview").fetchall() == [("U1", None, [])]
    assert conn.execute("SELECT * FROM transaction_marks").fetchall() == []
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("UPDATE cases SET state = 'confirmed'")


def test_an_analyst_works_a_case_by_commands(own: Settings, conn: psycopg.Connection) -> None:
    records = [
        in_bronze(
            0, payment("T0001", location="Tehran", merchant_id="M9999", user_id="U7", amount="12.5", timestamp=EARLIER)
        ),
        in_bronze(1, payment("T0002", amount=200_000, channel="POS", merchant_id="M0002", user_id="U7")),
        in_bronze(2, payment("T0003", user_id="U7")),
    ]
    judge(own.warehouse_dsn, *records)
    frauds = stored_frauds(conn, ["T0001", "T0002", "T0003"])
    open_cases(conn, frauds, MOMENT)
    case = str(work.find_cases(conn)[0].case_id)

    code, output, errors = run_app(app, own, "list")
    assert (code, errors) == (0, "")
    assert "U7" in output
    assert "huge_amount, risky_location, suspicious_merchant" in output
    assert run_app(app, own, "take", case) == (0, f"case {case} is taken by ana\n", "")
    assert run_app(app, own, "note", case, "called him", "--by", "ben")[0] == 0
    code, output, _ = run_app(app, own, "show", case)
    assert code == 0
    assert "U7 (not known)" in output
    assert "T0002  200,000.00 to M0002 (not known) by POS in" in output
    assert "huge_amount: amount 200000.0000 is above 100000" in output
    assert "noted by ben: called him" in output
    assert run_app(app, own, "mark", case, "confirmed", "--note", "stolen")[0] == 0

    assert json.loads(run_app(app, own, "list", "--json")[1]) == {"cases": []}
    (found,) = json.loads(run_app(app, own, "list", "--json", "--state", "confirmed", "--user", "U7")[1])["cases"]
    assert (found["case_id"], found["amount"], found["marked_by"]) == (int(case), "200012.5000", "ana")
    shown = json.loads(run_app(app, own, "show", case, "--json")[1])
    assert [one["txn_id"] for one in shown["transactions"]] == ["T0001", "T0002"]
    assert [one["what"] for one in shown["history"]] == ["opened", "taken", "noted", "marked"]
    assert "There is no such case." in run_app(app, own, "list", "--all", "--user", "U8")[1]


def test_frauds_that_no_rule_saw_are_reported(own: Settings, conn: psycopg.Connection, tmp_path: Path) -> None:
    frauds = [in_bronze(0, payment("T0", amount=200_000, channel="POS", user_id="U1"))]
    unseen = [in_bronze(n, payment(f"T{n}", user_id="U1" if n < 3 else "U2", channel="POS")) for n in range(1, 5)]
    judge(own.warehouse_dsn, *frauds, *unseen)
    (alert,) = work.find_cases(conn)
    disputed = tmp_path / "disputed.txt"
    disputed.write_text("T2\n\n T3 \nT3\n", encoding="utf-8")
    code, output, errors = run_app(app, own, "report", "T1", "--file", str(disputed), "--note", "her letter")
    assert (code, errors) == (0, "")
    cases = {case.user_id: case for case in work.find_cases(conn) if case.case_id != alert.case_id}
    assert output == "".join(
        f"case {cases[user].case_id} of user {user} is confirmed by ana\n" for user in ("U1", "U2")
    )
    assert [(cases[user].state, cases[user].alerts, cases[user].marked_by) for user in ("U1", "U2")] == [
        ("confirmed", 2, "ana"),
        ("confirmed", 1, "ana"),
    ]
    shown = json.loads(run_app(app, own, "show", str(cases["U1"].case_id), "--json")[1])
    assert [(one["txn_id"], one["evidence"]) for one in shown["transactions"]] == [("T1", None), ("T2", None)]
    assert [(one["who"], one["what"], one["note"]) for one in shown["history"]] == [
        ("ana", "opened", None),
        ("ana", "marked", "her letter"),
    ]
    marks = "SELECT txn_id, mark FROM transaction_marks ORDER BY 1"
    assert conn.execute(marks).fetchall() == [(f"T{n}", "confirmed") for n in (1, 2, 3)]
    for txn_id, words in (("T0", f"has the case {alert.case_id}: mark that"), ("T9", "has no verdict"), ("T1", "has")):
        code, output, errors = run_app(app, own, "report", "T4", txn_id)
        assert (code, output) == (1, "")
        assert f"transaction {txn_id} {words}" in errors
    assert len(conn.execute(marks).fetchall()) == 3


def test_who_marks_and_who_scores_wait_for_one_another(own: Settings, conn: psycopg.Connection) -> None:
    """Both lock scoring first: in another order each would wait for the other's case."""
    judge(own.warehouse_dsn, in_bronze(0, payment("T0", amount=200_000, channel="POS", user_id="U1")))
    (case,) = work.find_cases(conn)
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    second = in_bronze(1, payment("T1", amount=300_000, channel="POS", user_id="U1"))
    with connect(own.warehouse_dsn) as marking, ThreadPoolExecutor(1) as background:
        with marking.transaction():
            work.mark(marking, case.case_id, "confirmed", "ana")
            scored = background.submit(judge, own.warehouse_dsn, second, checkpoint="second")
            wait_until(lambda: conn.execute(waits).fetchone() == (1,), "who scores waits")
        assert scored.result(timeout=30) is not None
    assert alerts_by_case(conn) == [["T0"], ["T1"]]
    known = "SELECT known_at < (SELECT scored_at FROM fraudtransaction WHERE txn_id = 'T1') FROM ops.mark"
    assert conn.execute(known).fetchall() == [(True,)]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["report"], 2, "name transactions"),
        (["show", "4711"], 1, "there is no case 4711"),
        (["take", "4711"], 1, "there is no case 4711"),
        (["mark", "4711", "false_alarm"], 1, "there is no case 4711"),
        (["note", "4711", "hm"], 1, "there is no case 4711"),
        (["mark", "4711", "open"], 2, "Invalid value"),
        (["note", "4711", " \u200b "], 2, "says nothing"),
        (["note", "4711", "a\x1b[2J"], 2, "holds the character U+001B"),
        (["snooze", "huge_amount", "--until", "2999-01-01", "--reason", "new car"], 2, "either --user or --merchant"),
        (["list", "--all", "--state", "open"], 2, "exclude one another"),
    ],
)
def test_what_can_not_be_done_is_told_in_a_sentence(own: Settings, arguments: list[str], code: int, words: str) -> None:
    found = run_app(app, own, *arguments)
    assert (found[0], found[1]) == (code, "")
    assert words in found[2]
