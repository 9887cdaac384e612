"""A stack that an earlier version filled goes on under today's code: what was there stays, and what is new works."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from psycopg.sql import SQL, Identifier

from include.domains import TRANSACTIONS
from include.lake.catalog import changed_rows, silver_state
from include.local.layout import CLONE
from include.local.secrets import load_secrets
from include.local.servers import clients
from include.postgres import connect
from include.settings import Settings
from tests.starts.caller import Caller
from tests.support.clone import copy_of_clone, copy_of_commit, has_commit
from tests.support.stack import Traffic
from tests.support.waiting import wait_until

EARLIER = "161361f5beb2891d47592638d77a925ab1313be6"
"""Before rooms and domains were made anew."""
KEYS = {
    "users": "user_id",
    "merchants": "merchant_id",
    "accounts": "account_id",
    "fraudtransaction": "txn_id",
    "genuinetransaction": "txn_id",
}
GOLD_SECONDS = 240.0
VERDICT_SECONDS = 90.0

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(2700),
    pytest.mark.skipif(not has_commit(EARLIER), reason=f"the history of {CLONE} is cut off after commit {EARLIER[:7]}"),
]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of the earlier version, which is brought up to date in its place, as by `git pull`."""
    return copy_of_commit(EARLIER, tmp_path / "clone")


@pytest.fixture
def paylake(clone: Path, tmp_path: Path) -> Iterator[Caller]:
    caller = Caller((clone / "paylake",), tmp_path / "home")
    with caller.up():
        yield caller


def ids(settings: Settings, table: str) -> set[str]:
    with connect(settings.warehouse_dsn) as conn:
        found = conn.execute(SQL("SELECT {} FROM {}").format(Identifier(KEYS[table]), Identifier(table))).fetchall()
    return {row[0] for row in found}


def history(settings: Settings) -> set[str]:
    """The ids of the transactions in the lake, of which the earlier version had none."""
    if silver_state(settings, TRANSACTIONS) is None:
        return set()
    _, batches = changed_rows(settings, TRANSACTIONS, 0, ("txn_id",))
    return {txn_id for batch in batches for txn_id in batch["txn_id"].to_pylist()}


def test_todays_code_goes_on_with_what_an_earlier_version_left(paylake: Caller, clone: Path) -> None:
    paylake("verify")
    secrets = load_secrets(paylake.stack)
    settings = clients.settings(paylake.stack, secrets)
    before = {table: ids(settings, table) for table in KEYS}
    assert all(before.values())
    before_upgrade = before["fraudtransaction"] | before["genuinetransaction"]
    paylake("down")

    shutil.rmtree(clone)
    copy_of_clone(clone)
    paylake("up")
    paylake("verify")
    assert all(before[table] <= ids(settings, table) for table in KEYS)

    with Traffic(settings) as traffic:
        traffic.seconds_until_judged(traffic.last(), time.monotonic(), VERDICT_SECONDS)
        produce_user(settings, "U987654321")
        wait_until(lambda: "U987654321" in ids(settings, "users"), "a new user in gold", GOLD_SECONDS)
    traffic.assert_all_judged()
    api = clients.airflow_api(paylake.stack, secrets)
    api.trigger("silver_transactions")
    wait_until(lambda: before_upgrade <= history(settings), "old transactions in the lake", GOLD_SECONDS)
    paylake("verify")
    paylake("status")


def produce_user(settings: Settings, user_id: str) -> None:
    fields = {
        "user_id": user_id,
        "name": "Ana Silva",
        "country": "PT",
        "account_type": "Savings",
        "credit_score": 700,
        "status": "active",
        "timestamp": "2026-01-31T13:45:00Z",
    }
    producer = Producer(settings.kafka_config)
    producer.produce("user_profiles", key=user_id, value=json.dumps(fields))
    assert producer.flush(60) == 0
