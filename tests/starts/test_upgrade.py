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

from include.local import clients
from include.local.layout import CLONE
from include.local.secrets import load_secrets
from include.postgres import connect
from include.settings import Settings
from tests.starts.caller import Caller
from tests.support.clone import copy_of_clone, copy_of_commit, has_commit
from tests.support.servers import wait_until
from tests.support.stack import Traffic

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


def test_todays_code_goes_on_with_what_an_earlier_version_left(paylake: Caller, clone: Path) -> None:
    paylake("verify")
    settings = clients.settings(paylake.stack, load_secrets(paylake.stack))
    before = {table: ids(settings, table) for table in KEYS}
    assert all(before.values())
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
