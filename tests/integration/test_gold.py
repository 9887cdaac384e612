"""Gold loads against a real PostgreSQL: exact, once, all or nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations, product
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from include.checks.result import CheckFailedError, blocking, forget, newest
from include.domains import ACCOUNTS, PROFILES
from include.lake.catalog import SilverState
from include.postgres import connect
from include.settings import Settings
from include.spark.silver_job import _ranks
from include.warehouse.gold import BrokenContractError, GoldReport, IncompleteReadError, load_from
from include.warehouse.schema import apply_schema
from tests.support.silver_rows import SilverTable, account_row, user_row
from tests.support.waiting import wait_until
from tests.support.warehouse import all_rows, scratch_database

pytestmark = pytest.mark.integration

WAIT_SECONDS = 30


@pytest.fixture
def dsn(settings: Settings) -> Iterator[str]:
    with scratch_database(settings) as dsn:
        yield dsn


@pytest.fixture
def conn(dsn: str) -> Iterator[psycopg.Connection]:
    with connect(dsn) as conn:
        apply_schema(conn)
        yield conn


@pytest.fixture
def silver() -> SilverTable:
    return SilverTable("user_id")


def users(conn: psycopg.Connection, columns: str = "user_id, name") -> list[tuple[Any, ...]]:
    return conn.execute(f"SELECT {columns} FROM users ORDER BY user_id").fetchall()  # noqa: S608


def test_nothing_in_silver_is_nothing_in_gold(conn: psycopg.Connection, silver: SilverTable) -> None:
    report = load_from(silver, PROFILES, conn)
    assert (report.rows_sent, report.inserted, report.silver_version) == (0, 0, 0)
    assert users(conn) == []


def test_second_load_changes_nothing(conn: psycopg.Connection, silver: SilverTable) -> None:
    silver.commit(*(user_row(f"U{i}") for i in range(1, 2501)))
    first = load_from(silver, PROFILES, conn)
    assert (first.rows_sent, first.inserted, first.updated, first.deleted) == (2500, 2500, 0, 0)
    before = all_rows(conn, "users"), conn.execute("SELECT xmin, ctid, * FROM ops.gold_watermark").fetchall()
    second = load_from(silver, PROFILES, conn)
    assert (second.rows_sent, second.inserted, second.updated) == (0, 0, 0)
    assert (all_rows(conn, "users"), conn.execute("SELECT xmin, ctid, * FROM ops.gold_watermark").fetchall()) == before


def test_only_changed_rows_are_sent_and_equal_ones_not_written(conn: psycopg.Connection, silver: SilverTable) -> None:
    silver.commit(user_row("U1"), user_row("U2"), user_row("U3"))
    load_from(silver, PROFILES, conn)
    loaded_at = dict(users(conn, "user_id, loaded_at"))
    silver.commit(user_row("U1"), user_row("U2", name="Ana Costa", bronze_offset=9), user_row("U4"))
    report = load_from(silver, PROFILES, conn)
    assert (report.rows_sent, report.inserted, report.updated) == (3, 1, 1)
    assert users(conn) == [("U1", "Ana Silva"), ("U2", "Ana Costa"), ("U3", "Ana Silva"), ("U4", "Ana Silva")]
    now = dict(users(conn, "user_id, loaded_at"))
    assert now["U1"] == loaded_at["U1"]
    assert now["U2"] > loaded_at["U2"]


NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("later", "wins"),
    [
        ({"timestamp": NOON + timedelta(microseconds=1), "bronze_generation": 0, "bronze_offset": 0}, True),
        ({"timestamp": NOON - timedelta(microseconds=1), "bronze_generation": 9, "bronze_offset": 9}, False),
        ({"timestamp": NOON, "bronze_generation": 2, "bronze_partition": 0, "bronze_offset": 0}, True),
        ({"timestamp": NOON, "bronze_generation": 0, "bronze_partition": 9, "bronze_offset": 9}, False),
        ({"timestamp": NOON, "bronze_generation": 1, "bronze_partition": 2, "bronze_offset": 0}, True),
        ({"timestamp": NOON, "bronze_generation": 1, "bronze_partition": 1, "bronze_offset": 6}, True),
        ({"timestamp": NOON, "bronze_generation": 1, "bronze_partition": 1, "bronze_offset": 4}, False),
    ],
)
def test_newer_wins(conn: psycopg.Connection, silver: SilverTable, later: dict[str, Any], wins: bool) -> None:
    place = {"bronze_generation": 1, "bronze_partition": 1, "bronze_offset": 5}
    silver.commit(user_row("U1", timestamp=NOON, name="Old Name", **place))
    load_from(silver, PROFILES, conn)
    silver.commit(user_row("U1", **{"bronze_partition": 1, **later}, name="New Name"))
    report = load_from(silver, PROFILES, conn)
    assert users(conn) == [("U1", "New Name" if wins else "Old Name")]
    assert report.updated == int(wins)


def test_gold_keeps_of_two_rows_the_one_that_silver_would(conn: psycopg.Connection, silver: SilverTable) -> None:
    """Each compares in a language of its own, and both by what ``Domain.newest_by`` names."""
    values = {
        "timestamp": (NOON, NOON + timedelta(microseconds=1)),
        "bronze_generation": (0, 1),
        "bronze_taken_ms": (None, 1, 2),
        "bronze_partition": (0, 1),
        "bronze_offset": (0, 1),
    }
    assert tuple(values) == PROFILES.newest_by
    versions = [dict(zip(values, version, strict=True)) for version in product(*values.values())]
    pairs = list(permutations(range(len(versions)), 2))
    for side, name in enumerate(("First", "Second")):
        silver.commit(*(user_row(f"U{n}", name=name, **versions[pair[side]]) for n, pair in enumerate(pairs)))
        load_from(silver, PROFILES, conn)
    ranks = _ranks(pa.Table.from_pylist(versions), PROFILES.newest_by)
    expected = {
        f"U{n}": "Second" if ranks[second] > ranks[first] else "First" for n, (first, second) in enumerate(pairs)
    }
    assert dict(users(conn)) == expected


def test_silver_made_anew_is_mirrored(conn: psycopg.Connection, silver: SilverTable) -> None:
    silver.commit(user_row("U1"), user_row("U2", timestamp=NOON), user_row("U3"))
    silver.commit(user_row("U4"))
    load_from(silver, PROFILES, conn)
    untouched = users(conn, "user_id, loaded_at")[0]
    older = user_row("U2", name="What is valid now", timestamp=NOON - timedelta(days=1))
    silver.rebuild(user_row("U1"), older, user_row("U5"))
    report = load_from(silver, PROFILES, conn)
    assert (report.rows_sent, report.inserted, report.updated, report.deleted) == (3, 1, 1, 2)
    assert [name for _, name in users(conn)] == ["Ana Silva", "What is valid now", "Ana Silva"]
    assert users(conn, "user_id, loaded_at")[0] == untouched
    assert load_from(silver, PROFILES, conn).rows_sent == 0


def test_gold_stays_readable_while_silver_is_made_anew(conn: psycopg.Connection, silver: SilverTable) -> None:
    silver.commit(user_row("U1"))
    load_from(silver, PROFILES, conn)
    before = all_rows(conn, "users")
    silver.drop()
    report = load_from(silver, PROFILES, conn)
    assert (report.rows_sent, report.deleted, report.silver_version) == (0, 0, 1)
    assert all_rows(conn, "users") == before


def test_lost_watermark_costs_a_full_load_and_changes_nothing(conn: psycopg.Connection, silver: SilverTable) -> None:
    silver.commit(user_row("U1"), user_row("U2"))
    load_from(silver, PROFILES, conn)
    before = all_rows(conn, "users")
    conn.execute("DELETE FROM ops.gold_watermark")
    report = load_from(silver, PROFILES, conn)
    assert (report.rows_sent, report.inserted, report.updated, report.deleted) == (2, 0, 0, 0)
    assert all_rows(conn, "users") == before


def test_truncated_read_deletes_nothing(conn: psycopg.Connection, silver: SilverTable) -> None:
    silver.commit(user_row("U1"), user_row("U2"))
    load_from(silver, PROFILES, conn)
    before = all_rows(conn, "users")

    class Truncated(SilverTable):
        def rows_after(self, silver_version: int) -> tuple[SilverState, Iterable[pa.RecordBatch]]:
            state, batches = super().rows_after(silver_version)
            return state, list(batches)[:-1]

    rebuilt = Truncated("user_id", batch_rows=1)
    rebuilt.rebuild(user_row("U1"), user_row("U2"))
    with pytest.raises(IncompleteReadError, match="1 rows came of the 2"):
        load_from(rebuilt, PROFILES, conn)
    assert all_rows(conn, "users") == before


WILD = [
    "tab\there", "back\\slash \\N \\.", 'quote " and \' and ""', "comma, semicolon;", "NULL", " leading and trailing ",
    "\u202eright to left", "emoji 🏦 and e\u0301", "'; DROP TABLE users; --", "<b>&amp;</b>", "\\", '"', ",",
    "line\nbreak\r\n",
]  # fmt: skip


def test_wild_text_arrives_exactly(conn: psycopg.Connection, silver: SilverTable) -> None:
    silver.commit(*(user_row(f"U{i}", name=text, city=None) for i, text in enumerate(WILD)))
    load_from(silver, PROFILES, conn)
    assert dict(users(conn, "bronze_offset, name")) == dict(enumerate(WILD))
    assert {city for (city,) in users(conn, "city")} == {None}


def test_empty_text_and_null_stay_different(conn: psycopg.Connection, silver: SilverTable) -> None:
    silver.commit(user_row("U1", title=""), user_row("U2", title=None))
    load_from(silver, PROFILES, conn)
    assert users(conn, "title") == [("",), (None,)]


def test_money_dates_and_times_arrive_exactly(conn: psycopg.Connection) -> None:
    silver = SilverTable("account_id")
    amounts = ["999999999999999.9999", "-0.0001", "0.0000", "1234567890123.4500"]
    moment, clock = datetime(1900, 1, 1, 0, 0, 0, 1, tzinfo=UTC), "00:00:00.000001"
    silver.commit(
        *(
            account_row(f"A{i}", current_balance=Decimal(text), last_updated=moment, date=moment.date(), time=clock)
            for i, text in enumerate(amounts)
        )
    )
    load_from(silver, ACCOUNTS, conn)
    rows = conn.execute("SELECT current_balance, last_updated, date, time FROM accounts ORDER BY account_id").fetchall()
    assert [str(amount) for amount, *_ in rows] == amounts
    assert {tuple(rest) for _, *rest in rows} == {(moment, moment.date(), moment.time())}


def test_column_that_silver_lacks_is_null_if_it_may_be(conn: psycopg.Connection, silver: SilverTable) -> None:
    row = user_row("U1")
    silver.commit({name: value for name, value in row.items() if name != "city"})
    load_from(silver, PROFILES, conn)
    assert users(conn, "city") == [(None,)]
    silver.commit({name: value for name, value in user_row("U2").items() if name != "credit_score"})
    with pytest.raises(CheckFailedError, match="credit_score_not_null: 1 of 1 rows"):
        load_from(silver, PROFILES, conn)


def test_row_that_breaks_the_contract_stops_the_whole_load(conn: psycopg.Connection, silver: SilverTable) -> None:
    silver.commit(user_row("U1"), user_row("U2", credit_score=299))
    advice = "drop the table lake.silver.profiles"
    with pytest.raises(CheckFailedError, match=rf"credit_score_range: 1 of 2 rows .*\"user_id\": \"U2\".*{advice}"):
        load_from(silver, PROFILES, conn)
    assert users(conn) == []
    checked = {one.check: one for one in newest(conn, "gold/USERS")}
    failed = checked["credit_score_range"]
    assert (failed.passed, failed.blocks, failed.rows, failed.failing) == (False, True, 2, 1)
    assert (failed.examples[0]["user_id"], "credit_score" in failed.examples[0]) == ("U2", False), "it is personal data"
    assert (checked["name_length"].passed, checked["name_length"].examples) == (True, [])

    silver.commit(user_row("U2", credit_score=300))
    load_from(silver, PROFILES, conn)
    assert users(conn) == [("U1", "Ana Silva"), ("U2", "Ana Silva")]
    assert all(one.passed for one in newest(conn, "gold/USERS"))


def test_each_kind_of_check_refuses_what_breaks_it(conn: psycopg.Connection) -> None:
    breaking: dict[str, dict[str, Any]] = {
        "status_accepted_values": {"status": "Active"},
        "country_code_pattern": {"country_code": "pt"},
        "name_length": {"name": ""},
        "month_range": {"month": 13},
        "first_name_not_null": {"first_name": None},
    }
    for number, (name, bad) in enumerate(breaking.items()):
        silver = SilverTable("user_id", table_uuid=str(number))
        silver.commit(user_row("U1"), user_row("U2", **bad))
        with pytest.raises(CheckFailedError) as refused:
            load_from(silver, PROFILES, conn)
        assert [one.check.name for one in blocking(refused.value.results)] == [name]


def test_what_no_contract_says_is_refused_by_the_table(conn: psycopg.Connection, silver: SilverTable) -> None:
    silver.commit(user_row("U1", bronze_topic_id=None))
    with pytest.raises(BrokenContractError, match=r"bronze_topic_id.*drop the table lake.silver.profiles"):
        load_from(silver, PROFILES, conn)


def test_what_warns_is_told_and_loaded(conn: psycopg.Connection) -> None:
    accounts, people = SilverTable("account_id"), SilverTable("user_id")
    accounts.commit(account_row("A1", user_id="U1"), account_row("A2", user_id="U7"))
    load_from(accounts, ACCOUNTS, conn)
    (found,) = [one for one in newest(conn, "gold/ACCOUNTS") if not one.passed]
    assert (found.check, found.failing, found.rows, found.blocks) == ("user_id_reference", 2, 2, False)
    people.commit(user_row("U1"), user_row("U7"), *(user_row(f"U{number}") for number in range(10, 40)))
    load_from(people, PROFILES, conn)
    accounts.commit(account_row("A1", user_id="U7", bronze_offset=9))
    load_from(accounts, ACCOUNTS, conn)
    assert [one for one in newest(conn, "gold/ACCOUNTS") if not one.passed] == []

    people.rebuild(user_row("U1"))
    load_from(people, PROFILES, conn)
    (drifted,) = [one for one in newest(conn, "gold/USERS") if not one.passed]
    assert (drifted.check, drifted.value, drifted.limits) == ("row_count_drift", 0.03125, {"low": 0.9})
    assert len(users(conn)) == 1


def test_results_are_those_of_loads_that_were_committed(conn: psycopg.Connection, silver: SilverTable) -> None:
    silver.commit(user_row("U1"))
    load_from(silver, PROFILES, conn)
    once = conn.execute("SELECT count(*), count(DISTINCT run) FROM ops.check_result").fetchone()
    load_from(silver, PROFILES, conn)
    assert conn.execute("SELECT count(*), count(DISTINCT run) FROM ops.check_result").fetchone() == once
    conn.execute("UPDATE ops.check_result SET checked_at = now() - interval '31 days'")
    assert (forget(conn, 30), len(newest(conn))) == (0, once[0] if once else 0), "the newest stay, however old"
    silver.commit(user_row("U2"))
    load_from(silver, PROFILES, conn)
    # Nothing was looked at twice but what the second load has looked at again: a table that was empty cannot drift.
    assert forget(conn, 30) == (once[0] if once else 0)


@dataclass
class HeldSilver(SilverTable):
    """Gives its rows up to the middle, and the rest when it is told to."""

    halfway: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def rows_after(self, silver_version: int) -> tuple[SilverState, Iterable[pa.RecordBatch]]:
        state, batches = super().rows_after(silver_version)
        return state, self._held(list(batches))

    def _held(self, batches: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from batches[: len(batches) // 2]
        self.halfway.set()
        assert self.go_on.wait(WAIT_SECONDS)
        yield from batches[len(batches) // 2 :]


@pytest.fixture
def held() -> Iterator[HeldSilver]:
    silver = HeldSilver("user_id", batch_rows=10)
    yield silver
    silver.go_on.set()


def in_background(work: Callable[[], object]) -> tuple[threading.Thread, list[Any]]:
    """Run ``work``; the list receives what it returns or raises."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(work())
        except psycopg.Error as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


def load_elsewhere(dsn: str, silver: SilverTable) -> GoldReport:
    with connect(dsn, "test-loader") as own:
        return load_from(silver, PROFILES, own)


def test_readers_see_all_of_a_load_or_nothing(dsn: str, conn: psycopg.Connection, held: HeldSilver) -> None:
    held.commit(*(user_row(f"U{i}") for i in range(1, 101)))
    held.go_on.set()
    load_from(held, PROFILES, conn)
    held.go_on.clear()
    held.halfway.clear()
    held.commit(*(user_row(f"U{i}", name="New Name") for i in range(51, 151)))
    states = "SELECT name, count(*) FROM users GROUP BY name ORDER BY name"
    before, after = [("Ana Silva", 100)], [("Ana Silva", 50), ("New Name", 100)]
    thread, results = in_background(lambda: load_elsewhere(dsn, held))
    assert held.halfway.wait(WAIT_SECONDS)
    seen = [conn.execute(states).fetchall()]
    held.go_on.set()
    while thread.is_alive():
        seen.append(conn.execute(states).fetchall())
    thread.join()
    assert results[0].inserted + results[0].updated == 100
    assert seen[0] == before
    assert all(state in (before, after) for state in seen)
    assert conn.execute(states).fetchall() == after


def test_parallel_loads_queue_and_load_once(dsn: str, conn: psycopg.Connection, held: HeldSilver) -> None:
    held.commit(*(user_row(f"U{i}") for i in range(1, 101)))
    first, first_results = in_background(lambda: load_elsewhere(dsn, held))
    assert held.halfway.wait(WAIT_SECONDS)
    second, second_results = in_background(lambda: load_elsewhere(dsn, held))
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    wait_until(lambda: conn.execute(waiting).fetchone() == (1,), "the second load to queue", WAIT_SECONDS)
    held.go_on.set()
    first.join()
    second.join()
    assert [first_results[0].inserted, second_results[0].rows_sent] == [100, 0]
    assert len(users(conn)) == 100


def test_connection_lost_in_the_middle_changes_nothing(dsn: str, conn: psycopg.Connection, held: HeldSilver) -> None:
    held.commit(*(user_row(f"U{i}") for i in range(1, 101)))
    thread, results = in_background(lambda: load_elsewhere(dsn, held))
    assert held.halfway.wait(WAIT_SECONDS)
    killed = conn.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'test-loader'"
    ).fetchall()
    assert killed == [(True,)]
    held.go_on.set()
    thread.join()
    assert isinstance(results[0], psycopg.OperationalError)
    assert users(conn) == []
    assert conn.execute("SELECT * FROM ops.gold_watermark").fetchall() == []
    assert load_from(held, PROFILES, conn).inserted == 100


class VanishingSilver(SilverTable):
    """Loses a file under the reader, as often as told."""

    losses = 0
    reads = 0

    def rows_after(self, silver_version: int) -> tuple[SilverState, Iterable[pa.RecordBatch]]:
        state, batches = super().rows_after(silver_version)
        return state, self._losing(batches)

    def _losing(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        self.reads += 1
        for batch in batches:
            yield batch
            if self.reads <= self.losses:
                raise FileNotFoundError("silver/processed-profiles/part-1.parquet")


@pytest.mark.parametrize(("losses", "loaded"), [(1, 100), (2, 100), (3, 0)])
def test_silver_that_moves_on_is_planned_again(conn: psycopg.Connection, losses: int, loaded: int) -> None:
    silver = VanishingSilver("user_id", batch_rows=10)
    silver.losses = losses
    silver.commit(*(user_row(f"U{i}") for i in range(1, 101)))
    if loaded:
        assert load_from(silver, PROFILES, conn).inserted == loaded
    else:
        with pytest.raises(FileNotFoundError):
            load_from(silver, PROFILES, conn)
    assert len(users(conn)) == loaded
    assert silver.reads == min(losses + 1, 3)
