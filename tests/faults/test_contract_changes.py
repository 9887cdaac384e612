"""A contract gains a field, makes one required, has envelopes taken off: old and new records side by side."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from include.contracts.contract import ENVELOPES
from include.domains import MERCHANTS, TRANSACTIONS, Domain
from include.postgres import connect
from include.settings import Settings
from include.warehouse.schema import apply_schema
from tests.support.books import assert_balanced, begin_anew, judge_all
from tests.support.envelopes import changed, connected, framed
from tests.support.records import encoded, good, merchant
from tests.support.silver import load_gold, run_silver, worker_process
from tests.support.warehouse import TRANSACTION_TABLES, VERDICT_TABLES, checksum
from tests.support.world import World

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[2]
PREAMBLE = """
import json
from include.domains import MERCHANTS, TRANSACTIONS
from include.settings import Settings
from include.postgres import connect
from include.warehouse.schema import apply_schema
from tests.support.books import assert_balanced, judge_all
from tests.support.silver import load_gold, run_silver

settings = Settings.from_environment()
conn = connect(settings.warehouse_dsn)
apply_schema(conn)
"""
LOAD_AND_SHOW = (
    "run_silver(MERCHANTS, settings)",
    "load_gold(MERCHANTS, settings)",
    "assert_balanced(settings, MERCHANTS)",
    "rows = conn.execute('SELECT merchant_id, city, phone, extract(day FROM date)::int FROM merchants ORDER BY 1')",
    "refused = conn.execute('SELECT record_offset FROM ops.quarantine WHERE domain = %s ORDER BY 1', [MERCHANTS.name])",
    "print(json.dumps([*rows, {'quarantined': [offset for (offset,) in refused]}]))",
)


Properties = list[dict[str, Any]]


def optional(name: str) -> dict[str, Any]:
    return {"name": name, "logicalType": "string", "physicalType": "text", "description": "New."}


def merchants_may_have_a_phone_and_must_have_a_city(properties: Properties) -> None:
    properties.append(optional("phone"))
    next(field for field in properties if field["name"] == "city")["required"] = True


def transactions_may_have_a_device_and_must_have_a_terminal(properties: Properties) -> None:
    properties += [optional("device"), optional("terminal") | {"required": True}]


def nothing_else(_properties: Properties) -> None:
    pass


class Release:
    """The next version of the code: the same with a contract changed, run in processes of its own.

    It takes every envelope off.
    """

    def __init__(self, folder: Path, domain: Domain, change: Callable[[Properties], None]) -> None:
        for package in ("include", "tests"):
            shutil.copytree(REPOSITORY / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
        contract = folder / "include" / "contracts" / domain.contract_file
        document = yaml.safe_load(contract.read_text(encoding="utf-8"))
        document["version"] = "1.2.0"
        document["schema"][0]["customProperties"] = [{"property": "unwrap", "value": sorted(ENVELOPES)}]
        for schema in document["schema"]:
            change(schema["properties"])
        contract.write_text(yaml.safe_dump(document), encoding="utf-8")
        self._folder = folder

    def run(self, *statements: str) -> list[Any]:
        """Have its code do this, in a new process; what it prints, from JSON."""
        ended = subprocess.run(
            [sys.executable, "-P", "-c", "\n".join([PREAMBLE, *statements])],
            env={**os.environ, "PYTHONPATH": str(self._folder), "PYSPARK_PYTHON": sys.executable},
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.fixture
def conn(settings: Settings) -> Iterator[psycopg.Connection]:
    """A session; in the end the tables are again as the contracts of this version want them."""
    with connect(settings.warehouse_dsn) as conn:
        yield conn
        apply_schema(conn)
        for table in (MERCHANTS.table, *VERDICT_TABLES):
            for column in ("phone", "device", "terminal"):
                conn.execute(f"ALTER TABLE {table} DROP COLUMN IF EXISTS {column}")


def test_merchants_of_two_contracts_side_by_side(settings: Settings, conn: psycopg.Connection, tmp_path: Path) -> None:
    world = World(settings, MERCHANTS, tmp_path)
    world.wipe()
    world.produce(merchant(1), merchant(2))
    with worker_process() as worker:
        worker.submit(run_silver, MERCHANTS, settings).result()
    load_gold(MERCHANTS, settings)

    release = Release(tmp_path / "release", MERCHANTS, merchants_may_have_a_phone_and_must_have_a_city)
    world.produce(
        merchant(2, 2, city="Faro", phone=" 555  1 "),
        merchant(3, city="Faro"),
        merchant(4, phone="1"),
        merchant(1, 3),
        changed("c", merchant(5, 3, city="Faro")),
        changed("d", None, merchant(1)),
        framed(encoded(merchant(5, 2, city="Faro"))),
    )
    said = release.run(
        *LOAD_AND_SHOW,
        # A full load meets the old row again, and leaves it alone.
        "conn.execute('DELETE FROM ops.gold_watermark')",
        *LOAD_AND_SHOW,
        # Made anew, silver keeps to the contract of today alone.
        "conn.execute('DELETE FROM lake_catalog.iceberg_tables WHERE table_name = %s', [MERCHANTS.name])",
        *LOAD_AND_SHOW,
    )
    old = [["M0001", None, None, 1]]
    new: list[list[Any]] = [["M0002", "Faro", "555 1", 2], ["M0003", "Faro", None, 1], ["M0005", "Faro", None, 3]]
    assert said == [
        [*old, *new, {"quarantined": [4, 5]}],
        [*old, *new, {"quarantined": [4, 5]}],
        [*new, {"quarantined": [0, 1, 4, 5]}],
    ]
    assert world.rows("merchant_id", "city", "phone") == [tuple(row[:3]) for row in new]
    assert {code for _, _, codes in world.quarantined() for code in codes} == {"missing"}


def test_transactions_of_two_contracts_side_by_side(
    settings: Settings, conn: psycopg.Connection, tmp_path: Path
) -> None:
    begin_anew(settings, TRANSACTIONS)
    world = World(settings, TRANSACTIONS, tmp_path)
    world.produce(transaction(1), transaction(2, amount=50_000, channel="Online"))
    judge_all(settings)

    release = Release(tmp_path / "release", TRANSACTIONS, transactions_may_have_a_device_and_must_have_a_terminal)
    world.produce(
        transaction(3, device="d", terminal="t"),
        transaction(4, terminal="t", location="Tehran"),
        transaction(5, device="d"),
        transaction(1, terminal="t"),
    )
    judged = ("judge_all(settings)", "assert_balanced(settings, TRANSACTIONS)")
    release.run(*judged)
    before = [checksum(conn, table) for table in TRANSACTION_TABLES]
    assert rows(conn, "genuinetransaction") == [("T1", None, None), ("T3", "d", "t")]
    assert rows(conn, "fraudtransaction") == [("T2", None, None), ("T4", None, "t")]
    assert [(offset, codes) for offset, _, codes in world.quarantined()] == [(4, ["missing"])]
    assert conn.execute("SELECT record_offset, same_body FROM ops.transaction_duplicate").fetchall() == [(5, False)]

    # A verdict is of its time: under a new checkpoint the old records are read again, and have their places.
    conn.execute("DELETE FROM ops.stream_batch")
    release.run(*judged)
    assert [checksum(conn, table) for table in TRANSACTION_TABLES] == before


def test_envelopes_of_transactions_are_taken_off_once_the_contract_asks_for_it(
    settings: Settings, tmp_path: Path
) -> None:
    begin_anew(settings, TRANSACTIONS)
    world = World(settings, TRANSACTIONS, tmp_path)
    delete = changed("d", None, transaction(1))
    wrapped = framed(encoded(transaction(1))), connected(transaction(2)), changed("c", transaction(3))
    world.produce(*wrapped, delete, transaction(4))
    judge_all(settings)
    assert_balanced(settings, TRANSACTIONS)
    assert [(offset, codes) for offset, _, codes in world.quarantined()] == [
        (0, ["schema_registry_frame"]),
        (1, ["connect_envelope"]),
        (2, ["debezium_envelope"]),
        (3, ["debezium_envelope"]),
    ]

    release = Release(tmp_path / "release", TRANSACTIONS, nothing_else)
    world.produce(framed(encoded(transaction(5))), connected(changed("u", transaction(6, location="Tehran"))), delete)
    balance = (
        "books = assert_balanced(settings, TRANSACTIONS).domains[0]",
        "print(json.dumps([books.total(name) for name in ('valid', 'fraud', 'quarantined', 'tombstones')]))",
    )
    said = release.run(
        "judge_all(settings)",
        *balance,
        "from include.redrive.redrive import Redrive",
        "from include.quarantine.rows import Selection",
        "waiting = Selection(domain=TRANSACTIONS.name, done=False)",
        "found = Redrive(conn, waiting, lambda frauds: None).drive()",
        "print(json.dumps([found.chosen, found.landed, [[*reason, n] for reason, n in found.reasons.items()]]))",
        *balance,
        # Under a new checkpoint every record has its place already, the deletes none.
        "conn.execute('DELETE FROM ops.stream_batch')",
        "judge_all(settings)",
        *balance,
    )
    assert said == [
        [3, 1, 4, 1],
        [4, {"transactions": 3}, [["transactions", None, "tombstone", 1]]],
        [6, 1, 1, 1],
        [6, 1, 1, 1],
    ]
    # In bronze they are as they came.
    assert [raw for offset, raw, _ in world.quarantined() if offset == 0] == [framed(encoded(transaction(1)))]


def transaction(number: int, **changes: Any) -> dict[str, Any]:
    return good(TRANSACTIONS, txn_id=f"T{number}", **changes)


def rows(conn: psycopg.Connection, table: str) -> list[tuple[Any, ...]]:
    return conn.execute(f"SELECT txn_id, device, terminal FROM {table} ORDER BY 1").fetchall()  # noqa: S608
