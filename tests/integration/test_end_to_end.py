"""The whole platform: a plain Kafka client on one side, every layer checked to the row on the other.

One stack of its own runs under Airflow, with our generators off; the tests run in the order of this file, because each
is a chapter of one story: data arrives, it runs again and changes nothing, the topics are reset, more data arrives.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import duckdb
import psycopg
import pyarrow.dataset as ds
import pyarrow.fs as pafs
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from include.domains import BRONZE_BUCKET, DOMAINS, REFERENCE_DOMAINS
from include.kafka.topics import end_offsets, topic_id
from include.lake.s3 import s3_client
from include.local import postgres
from include.local.airflow import POOLS
from include.local.secrets import load_secrets
from include.settings import Settings
from tests.support.processes import parent
from tests.support.stack import Airflow, Stack, Traffic, whole_stack
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]

Messages = list[tuple[str | None, bytes | None]]


def message(key: str, **fields: Any) -> tuple[str, bytes]:
    return key, json.dumps(fields, ensure_ascii=False).encode()


def user(user_id: str, name: str = "Ana Silva", **changes: Any) -> tuple[str, bytes]:
    fields = {
        "user_id": user_id,
        "name": name,
        "country": "PT",
        "account_type": "Savings",
        "credit_score": 700,
        "status": "active",
        "timestamp": "2026-01-31T13:45:00Z",
    }
    return message(user_id, **(fields | changes))


def merchant(merchant_id: str, **changes: Any) -> tuple[str, bytes]:
    fields = {
        "merchant_id": merchant_id,
        "merchant_name": "Corner Shop",
        "category": "Retail",
        "risk_level": "Low",
        "country": "DE",
        "timestamp": "2026-01-31 08:00:00",
    }
    return message(merchant_id, **(fields | changes))


def account(account_id: str, **changes: Any) -> tuple[str, bytes]:
    fields = {
        "account_id": account_id,
        "user_id": "U0001",
        "current_balance": "1234.56",
        "currency": "eur",
        "last_updated": "2026-02-01T00:00:00+02:00",
    }
    return message(account_id, **(fields | changes))


def transaction(txn_id: str, amount: str, **changes: Any) -> tuple[str, bytes]:
    fields = {
        "txn_id": txn_id,
        "user_id": "U0001",
        "amount": "AMOUNT",
        "merchant_id": "M0001",
        "channel": "POS",
        "location": "Lisbon",
        "timestamp": "2026-03-01 10:00:00",
    } | changes
    # The amount is spliced in as text, so that it goes out as the exact JSON number and never through a float.
    return fields["user_id"], json.dumps(fields).replace('"AMOUNT"', amount).encode()


FIRST: dict[str, Messages] = {
    "user_profiles": [
        user("U0001", "  Dr. Ana   Maria Silva Jr. ", country="portugal"),
        user("U0002", "Prince", country="u.s.a.", account_type="CURRENT", status=" Suspended "),
        user("U0003", "Jan de Vries", country="Holland", credit_score=300),
        user("U0003", "Jan de Vries", country="NL", credit_score=850, timestamp="2026-02-02T00:00:00Z"),
        user("U0003", "Jan de Vries", country="NL", credit_score=400, timestamp="2025-12-31T00:00:00Z"),
        user("U0001", "  Dr. Ana   Maria Silva Jr. ", country="portugal"),
        user("X0004"),
        user("U0005", credit_score=851, country="Atlantis"),
        ("U0006", b'{"user_id": "U0006", "name": '),
        ("U0007", None),
        ("U0008", b"\xff\xfe not text"),
    ],
    "merchant_info": [
        merchant("M0001"),
        merchant("M0002", risk_level="high", merchant_name="Lucky\tWins", country="Great Britain"),
        merchant("M0003", category="Weapons"),
    ],
    "account_balances": [
        account("A0001"),
        account("A0002", user_id="U0002", current_balance="-0.0001", currency="JPY"),
        account("A0003", currency="ZZZ"),
        account("A0004", current_balance="NaN"),
    ],
}

USERS = {
    ("U0001", "Dr.", "Ana Maria", "Silva", "Jr.", "PT", "Portugal", "Savings", 700, "active"),
    ("U0002", None, "Prince", None, None, "US", "United States", "Current", 700, "suspended"),
    ("U0003", None, "Jan", "de Vries", None, "NL", "Netherlands", "Savings", 850, "active"),
}
USERS_SQL = """
    SELECT user_id, title, first_name, last_name, suffix, country_code, country, account_type, credit_score, status
    FROM users
"""
MERCHANTS = {("M0001", "Corner Shop", "Retail", "Low", "DE"), ("M0002", "Lucky Wins", "Retail", "High", "GB")}
MERCHANTS_SQL = "SELECT merchant_id, merchant_name, category, risk_level, country_code FROM merchants"
ACCOUNTS = {
    ("A0001", "U0001", Decimal("1234.56"), "EUR", "2026-01-31", "22:00:00", 1, 2026),
    ("A0002", "U0002", Decimal("-0.0001"), "JPY", "2026-01-31", "22:00:00", 1, 2026),
}
ACCOUNTS_SQL = """
    SELECT account_id, user_id, current_balance, currency, date::text, time::text, month, year FROM accounts
"""

TRANSACTIONS: Messages = [
    transaction("T0001", "12.50"),
    transaction("T0002", "30000", channel="Online"),
    transaction("T0003", "30000.01", channel="online"),
    transaction("T0004", "5", merchant_id="M0002"),
    transaction("T0005", "99999999.9999", merchant_id="M0002", channel="Online", timestamp="2026-03-01T10:00:00+01:00"),
    transaction("T0001", "12.50"),
    transaction("T0006", "0"),
    transaction("T0007", "1e400"),
    transaction("T0008", "12.50", merchant_id="M4040"),
    ("U0001", b"[]"),
    ("U0001", b""),
]
GENUINE = {("T0001", Decimal("12.50")), ("T0002", Decimal("30000")), ("T0008", Decimal("12.50"))}
FRAUD = {
    ("T0003", ("high_online_amount",)),
    ("T0004", ("suspicious_merchant",)),
    ("T0005", ("high_online_amount", "huge_amount", "suspicious_merchant")),
}
VERDICTS = len(GENUINE) + len(FRAUD)
FLOW_SECONDS = 300.0
NOTHING_WAITS = {"records": 0, "seconds": None}

# What must be found in quarantine: topic, the record's position in what was produced, and the fields blamed.
REJECTED = {
    ("user_profiles", 6, ("user_id",)),
    ("user_profiles", 7, ("country", "credit_score")),
    ("user_profiles", 8, (None,)),
    ("user_profiles", 10, (None,)),
    ("merchant_info", 2, ("category",)),
    ("account_balances", 2, ("currency",)),
    ("account_balances", 3, ("current_balance",)),
    ("transactions", 6, ("amount",)),
    ("transactions", 7, ("amount",)),
    ("transactions", 9, (None,)),
    ("transactions", 10, (None,)),
}


@dataclass
class Story:
    """The running stack and what was produced into it so far, by (topic, partition), in order."""

    stack: Stack
    settings: Settings
    airflow: Airflow
    produced: dict[tuple[str, str, int], list[bytes | None]]
    coordinates: dict[tuple[str, int], tuple[str, int, int]]

    def produce(self, topic: str, messages: Messages) -> None:
        """Send with a plain client and note where each record landed."""
        admin = AdminClient({"bootstrap.servers": self.settings.kafka_bootstrap_servers})
        identity = topic_id(admin, topic)
        assert identity is not None
        producer = Producer({"bootstrap.servers": self.settings.kafka_bootstrap_servers, "acks": "all"})
        landed: list[tuple[int, int]] = []

        def delivered(error: Any, sent: Any) -> None:
            assert error is None, error
            landed.append((sent.partition(), sent.offset()))

        first = sum(1 for name, _ in self.coordinates if name == topic)
        for number, (key, value) in enumerate(messages):
            producer.produce(topic, key=key, value=value, on_delivery=delivered)
            assert producer.flush(30) == 0
            partition, offset = landed[-1]
            self.produced.setdefault((topic, identity, partition), []).append(value)
            self.coordinates[topic, first + number] = (identity, partition, offset)

    def rows(self, sql: str) -> set[tuple[Any, ...]]:
        """The rows of a query, each as a tuple; lists become tuples."""
        with psycopg.connect(self.settings.warehouse_dsn) as connection:
            found = connection.execute(sql).fetchall()
        rows = [tuple(tuple(value) if isinstance(value, list) else value for value in row) for row in found]
        assert len(rows) == len(set(rows))
        return set(rows)

    def await_rows(self, sql: str, expected: set[tuple[Any, ...]]) -> None:
        """Wait for a query's rows to be the expected ones."""
        wait_until(
            lambda: self.rows(sql) == expected, lambda: f"{expected}, found {self.rows(sql)}", FLOW_SECONDS, pause=0.5
        )

    def fingerprint(self) -> dict[str, Any]:
        """Everything that a run which has nothing to do must leave as it is, down to load times and file names."""
        tables = ("users", "accounts", "merchants", "fraudtransaction", "genuinetransaction", "ops.quarantine")
        state: dict[str, Any] = {
            table: sorted(self.rows(f"SELECT t::text FROM {table} AS t"))  # noqa: S608 - names from the line above
            for table in tables
        }
        s3 = s3_client(self.settings)
        for bucket in ("bronze", "silver"):
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
            state[bucket] = [
                (entry["Key"], entry["ETag"])
                for page in pages
                for entry in page.get("Contents", [])
                if not entry["Key"].startswith("_")
            ]
        return state


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with whole_stack() as stack:
        yield Story(stack, stack.settings, stack.airflow, {}, {})


def test_reference_data_reaches_gold_because_it_arrived(story: Story) -> None:
    for topic, messages in FIRST.items():
        story.produce(topic, messages)
    story.await_rows(USERS_SQL, USERS)
    story.await_rows(MERCHANTS_SQL, MERCHANTS)
    story.await_rows(ACCOUNTS_SQL, ACCOUNTS)


def test_every_transaction_gets_its_verdict(story: Story) -> None:
    story.produce("transactions", TRANSACTIONS)
    sql = "SELECT txn_id FROM fraudtransaction UNION ALL SELECT txn_id FROM genuinetransaction"
    wait_until(lambda: len(story.rows(sql)) == VERDICTS, "a verdict for each transaction", FLOW_SECONDS)
    assert story.rows("SELECT txn_id, amount FROM GenuineTransaction") == GENUINE
    fraud = story.rows("SELECT txn_id, reasons FROM FraudTransaction")
    assert {(txn_id, tuple(sorted(reasons))) for txn_id, reasons in fraud} == FRAUD
    assert story.rows(
        "SELECT timestamp AT TIME ZONE 'UTC' = '2026-03-01 09:00' FROM FraudTransaction WHERE txn_id='T0005'"
    ) == {(True,)}


def test_evidence_names_what_made_a_rule_fire(story: Story) -> None:
    ((evidence,),) = story.rows("SELECT evidence::text FROM FraudTransaction WHERE txn_id = 'T0003'")
    (fired,) = json.loads(evidence)
    assert fired["rule"] == "high_online_amount"
    assert Decimal(fired["values"]["amount"]) == Decimal("30000.01")


def test_bad_records_are_kept_with_every_reason_and_their_bytes(story: Story) -> None:
    sql = "SELECT topic, topic_id, partition_id, record_offset, raw, reasons::text FROM ops.quarantine"
    wait_until(lambda: len(story.rows(sql)) >= len(REJECTED), "the rejected records in quarantine", FLOW_SECONDS)
    sent = FIRST | {"transactions": TRANSACTIONS}
    expected = {
        (topic, *story.coordinates[topic, number], sent[topic][number][1], fields) for topic, number, fields in REJECTED
    }
    found = {
        (topic, identity, partition, offset, bytes(raw), _blamed(reasons))
        for topic, identity, partition, offset, raw, reasons in story.rows(sql)
    }
    assert found == expected


def _blamed(reasons: str) -> tuple[str | None, ...]:
    return tuple(sorted({reason["field"] for reason in json.loads(reasons)}, key=str))


def bronze_values(story: Story, topic: str, identity: str, partition: int) -> list[bytes | None]:
    """What bronze holds of a partition, read from the objects alone, as its documentation says they are to be read."""
    import base64

    domain = next(domain for domain in DOMAINS.values() if domain.topic == topic)
    s3 = s3_client(story.settings)
    prefix = f"{domain.bronze_folder}/{identity}/{partition}/"
    values: list[bytes | None] = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BRONZE_BUCKET, Prefix=prefix):
        for entry in page.get("Contents", []):
            body = s3.get_object(Bucket=BRONZE_BUCKET, Key=entry["Key"])["Body"].read()
            for line in body.splitlines():
                if line.startswith(b'{"_paylake_envelope":'):
                    encoded = json.loads(line)["_paylake_envelope"]["value_base64"]
                    values.append(None if encoded is None else base64.b64decode(encoded))
                else:
                    values.append(line)
    return values


def assert_bronze_is_what_was_produced(story: Story) -> None:
    for (topic, identity, partition), sent in story.produced.items():
        assert bronze_values(story, topic, identity, partition) == sent, (topic, identity, partition)


def test_bronze_holds_each_record_once_as_it_came(story: Story) -> None:
    assert_bronze_is_what_was_produced(story)


def silver_table(story: Story, name: str) -> Any:
    """The folder read as plain Parquet, by someone who never heard of Iceberg."""
    s3 = pafs.S3FileSystem(
        endpoint_override=story.settings.s3_endpoint_url,
        access_key=story.settings.s3_access_key_id,
        secret_key=story.settings.s3_secret_access_key,
        region=story.settings.s3_region,
    )
    return ds.dataset(f"silver/{REFERENCE_DOMAINS[name].silver_folder}", filesystem=s3, format="parquet").to_table()


def test_silver_folders_read_as_plain_parquet_show_the_current_rows(story: Story) -> None:
    profiles, merchants, accounts = (silver_table(story, name) for name in ("profiles", "merchants", "accounts"))
    connection = duckdb.connect()
    connection.register("users", profiles)
    connection.register("merchants", merchants)
    connection.register("accounts", accounts)
    assert sorted(connection.execute(USERS_SQL).fetchall(), key=str) == sorted(USERS, key=str)
    assert sorted(connection.execute(MERCHANTS_SQL).fetchall()) == sorted(MERCHANTS)
    assert sorted(connection.execute(ACCOUNTS_SQL).fetchall()) == sorted(ACCOUNTS)


def test_asset_events_tell_what_each_layer_did(story: Story) -> None:
    for domain in REFERENCE_DOMAINS.values():
        bronze = story.airflow.asset_events(f"bronze/{domain.bronze_folder}")
        silver = story.airflow.asset_events(f"silver/{domain.silver_folder}")
        gold = story.airflow.asset_events(f"gold/{domain.table.upper()}")
        assert story.airflow.asset_events(domain.topic), domain.topic
        assert sum(event["extra"]["records"] for event in bronze) == len(FIRST[domain.topic])
        assert silver[-1]["extra"]["rows"] == len(story.rows(f"SELECT * FROM {domain.table}"))  # noqa: S608
        assert sum(event["extra"]["rejected"] for event in silver) == sum(
            1 for topic, *_ in REJECTED if topic == domain.topic
        )
        assert sum(event["extra"]["inserted"] for event in gold) == len(story.rows(f"SELECT * FROM {domain.table}"))  # noqa: S608
        assert all(layer[-1]["extra"]["behind"] == NOTHING_WAITS for layer in (bronze, silver, gold))


def test_the_books_balance_and_an_asset_says_so(story: Story) -> None:
    verified = story.stack.paylake("verify", "--json")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    report = json.loads(verified.stdout)
    sent = sum(map(len, FIRST.values())) + len(TRANSACTIONS)
    assert (report["balanced"], report["records"]) == (True, sent)
    assert story.airflow.run("verify_books") == "success"
    told = story.airflow.asset_events("checks/books")[-1]["extra"]
    assert (told["balanced"], told["records"], told["findings"]) == (True, sent, [])
    assert told["domains"]["transactions"]["fraud"] == len(FRAUD)
    assert told["quarantine"]["accounts"] == {"unknown_currency": 1, "wrong_type": 1}
    assert {layer: set(domains) for layer, domains in told["behind"].items()} == {
        "bronze": set(DOMAINS),
        "silver": set(REFERENCE_DOMAINS),
        "gold": set(REFERENCE_DOMAINS),
        "verdicts": {"transactions"},
    }
    assert all(numbers == NOTHING_WAITS for domains in told["behind"].values() for numbers in domains.values())
    assert told["waiting"] == []


def test_books_that_do_not_balance_fail_a_run_and_the_asset_says_what_is_wrong(story: Story) -> None:
    with psycopg.connect(story.settings.warehouse_dsn) as connection:
        connection.execute("CREATE TABLE ops.kept AS TABLE ops.quarantine")
        connection.execute("DELETE FROM ops.quarantine WHERE topic = 'merchant_info'")
    verified = story.stack.paylake("verify", "--domain", "merchants")
    topic, partition, offset = story.coordinates["merchant_info", 2]
    assert verified.returncode == 1
    assert f"merchants {topic}/{partition}, offset {offset}: in bronze but nowhere else" in verified.stdout
    assert story.airflow.run("verify_books") == "failed"
    told = story.airflow.asset_events("checks/books")[-1]["extra"]
    assert (told["balanced"], [finding["check"] for finding in told["findings"]]) == (False, ["nowhere"])
    with psycopg.connect(story.settings.warehouse_dsn) as connection:
        connection.execute("INSERT INTO ops.quarantine TABLE ops.kept ON CONFLICT DO NOTHING")
        connection.execute("DROP TABLE ops.kept")


def test_status_names_what_fails_until_it_succeeds(story: Story) -> None:
    asked = story.stack.paylake("status", "--json")
    found = json.loads(asked.stdout)
    assert (asked.returncode, found["well"]) == (1, False)
    (task,) = found["failed_tasks"]
    assert (task["dag_id"], task["task_id"], task["state"]) == ("verify_books", "require_balance", "failed")
    assert task["error"].startswith("AirflowFailException: The books do not balance: merchants")
    assert [problem["check"] for problem in found["problems"]] == ["failed_task"]

    assert story.airflow.run("verify_books") == "success"
    asked = story.stack.paylake("status", "--json")
    found = json.loads(asked.stdout)
    assert (asked.returncode, found["problems"]) == (0, [])
    assert len(found["behind"]) == 11
    assert {(lag["records"], lag["seconds"]) for lag in found["behind"]} == {(0, None)}
    assert found["newest_verdict"]["seconds"] > 0
    assert {one["reason"] for one in found["waiting"]} == {"quarantine"}
    shown = story.stack.paylake("status")
    assert shown.returncode == 0
    assert max(map(len, shown.stdout.splitlines())) <= 100, shown.stdout


def test_a_second_run_changes_nothing(story: Story) -> None:
    before = story.fingerprint()
    for name in REFERENCE_DOMAINS:
        for dag_id in (f"bronze_{name}", f"silver_{name}", f"gold_{name}"):
            assert story.airflow.run(dag_id) == "success", dag_id
    assert story.fingerprint() == before


def test_a_topic_reset_loses_nothing_and_the_new_topic_flows(story: Story) -> None:
    admin = AdminClient({"bootstrap.servers": story.settings.kafka_bootstrap_servers})
    topics = ["user_profiles", "transactions"]
    # Produced right before the reset: what Kafka forgets must already be in bronze.
    story.produce("user_profiles", [user("U0009", "Last Minute")])
    old = {topic: topic_id(admin, topic) for topic in topics}
    assert story.airflow.run("reset_topics", {"topics": topics, "confirm": "reset"}) == "success"
    new = {topic: topic_id(admin, topic) for topic in topics}
    for topic in topics:
        assert new[topic] not in (None, old[topic])
        assert set(end_offsets(admin, topic).values()) == {0}

    story.produce("user_profiles", [user("U0003", "Jan de Vries", credit_score=500, timestamp="2026-02-03T00:00:00Z")])
    story.produce("transactions", [transaction("T0100", "1"), transaction("T0001", "12.50")])
    genuine = "SELECT txn_id FROM GenuineTransaction"
    wait_until(lambda: ("T0100",) in story.rows(genuine), "the new transaction's verdict", FLOW_SECONDS)
    users = "SELECT user_id, credit_score FROM users"
    story.await_rows(users, {("U0001", 700), ("U0002", 700), ("U0003", 500), ("U0009", 700)})
    assert story.rows(genuine) == {(txn,) for txn, _ in GENUINE} | {("T0100",)}
    assert_bronze_is_what_was_produced(story)


def test_a_reset_without_the_word_is_refused(story: Story) -> None:
    admin = AdminClient({"bootstrap.servers": story.settings.kafka_bootstrap_servers})
    before = topic_id(admin, "merchant_info")
    assert story.airflow.run("reset_topics", {"topics": ["merchant_info"], "confirm": "yes please"}) == "failed"
    assert topic_id(admin, "merchant_info") == before


def test_the_pools_leave_room_for_the_streams_and_a_backfill_is_refused(story: Story) -> None:
    slots = {pool["name"]: pool["slots"] for pool in story.airflow.get("pools")["pools"]}
    assert slots == {name: pool.slots for name, pool in POOLS.items()}
    day = {"from_date": "2026-01-01T00:00:00Z", "to_date": "2026-01-02T00:00:00Z"}
    for dag_id in ("verify_books", "silver_merchants"):
        refused = story.airflow.post("backfills", {"dag_id": dag_id, **day})
        assert 400 <= refused.status_code < 500, refused.text
        assert "does not allow backfill" in refused.text


BY_HAND: list[dict[str, Any]] = [
    {},
    {"totals": None},
    {"totals": {"valid": "3", "rejected": [1]}, "table_uuid": 5},
    {"positions": {"topic": None}, "snapshot_id": {}},
    {"a": [{"b": {"c": [None, True, -1e300, "\x00\u202e"]}}] * 3},
    {"huge": "x" * 1_000_000},
]


def own_events(story: Story, asset: str, task: str) -> list[dict[str, Any]]:
    return [event["extra"] for event in story.airflow.asset_events(asset) if event["source_task_id"] == task]


def test_events_that_somebody_makes_by_hand_break_no_task_and_change_no_number(story: Story) -> None:
    bronze, silver = "bronze/merchant-folder", "silver/processed-merchants"
    deep = '{"a":' * 200 + "1" + "}" * 200
    dags = ("bronze_merchants", "silver_merchants", "gold_merchants")
    earlier = {task["id"] for task in story.airflow.tasks(*dags)}
    before, told_before = len(story.rows("SELECT * FROM merchants")), own_events(story, silver, "clean")
    told = told_before[-1]
    for extra in [*BY_HAND, {**told, "valid": 99, "totals": dict.fromkeys(told["totals"], 99)}]:
        for asset in ("merchant_info", bronze, silver):
            assert story.airflow.make_event(asset, extra).status_code == 200, extra
    unfit: list[Any] = [[], 5, "x", None, {"n": 2**64}, {"n": [{"m": -(10**400)}]}, {"n": "\ud800"}, json.loads(deep)]
    for refused in unfit:
        assert story.airflow.make_event(silver, refused).status_code == 422, refused
    story.produce("merchant_info", [merchant("M0010"), merchant("M0011"), merchant("M0012", category="Weapons")])
    wait_until(lambda: len(story.rows("SELECT * FROM merchants")) == before + 2, "the merchants in gold", FLOW_SECONDS)

    wait_until(lambda: not story.airflow.unfinished(*dags), "the end of all runs", FLOW_SECONDS)
    since = own_events(story, silver, "clean")[len(told_before) :]
    for name, total in since[-1]["totals"].items():
        assert sum(extra[name] for extra in since) == total - told["totals"][name], name
    assert sum(extra["records"] for extra in own_events(story, bronze, "ingest")) == sum(
        sum(partitions.values()) for partitions in own_events(story, bronze, "ingest")[-1]["positions"].values()
    )
    woken = {task["id"]: (task["task_id"], task["state"], task["try_number"]) for task in story.airflow.tasks(*dags)}
    ends = [end for task, end in woken.items() if task not in earlier]
    assert {(state, tries) for _, state, tries in ends} <= {("success", 1), ("skipped", 1)}, ends


def framed(merchant_id: str) -> tuple[str, bytes]:
    """As a Schema Registry serializer does it: a zero and the schema's id before the record."""
    key, value = merchant(merchant_id)
    return key, b"\0\0\0\0\x07" + value


def test_good_records_land_beside_many_bad_ones_and_runs_are_red_until_somebody_accepts_that(story: Story) -> None:
    quarantined = "SELECT topic_id, partition_id, record_offset FROM ops.quarantine WHERE domain = 'merchants'"
    before, rows = len(story.rows(quarantined)), len(story.rows("SELECT * FROM merchants"))
    story.produce("merchant_info", [framed(f"M{number}") for number in range(1000, 1300)])
    story.produce("merchant_info", [merchant(f"M{number}") for number in range(2000, 2020)])
    wait_until(lambda: len(story.rows("SELECT * FROM merchants")) == rows + 20, "the good ones in gold", FLOW_SECONDS)
    assert len(story.rows(quarantined)) == before + 300

    def told() -> dict[str, Any] | None:
        alarm: dict[str, Any] | None = own_events(story, "silver/processed-merchants", "clean")[-1]["alarm"]
        return alarm

    alarm = told()
    assert alarm is not None
    assert alarm["rejected"] >= 300
    assert story.airflow.run("silver_merchants") == "failed"
    assert story.airflow.run("silver_profiles") == "success"
    (task,) = story.airflow.newest_tasks("silver_merchants", "require_acceptance")
    assert (task["state"], task["try_number"]) == ("failed", 1)
    log = story.stack.paylake("logs", "silver_merchants").stdout
    assert "quarantine accept --domain merchants" in log, log

    listed = story.stack.paylake("quarantine", "list", "--domain", "merchants", "--limit", "0")
    assert f"ALARM merchants: {alarm['rejected']} of " in listed.stdout
    accepted = story.stack.paylake("quarantine", "accept", "--domain", "merchants", "--yes")
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    assert story.airflow.run("silver_merchants") == "success"
    assert told() is None


def test_verdicts_flow_again_soon_after_the_fraud_task_was_killed(story: Story) -> None:
    (driver,) = story.stack.drivers()
    os.kill(parent(driver), signal.SIGKILL)
    killed = time.monotonic()
    with Traffic(story.settings) as traffic:
        traffic.seconds_until_judged(traffic.last(), killed, 180)
    assert driver not in story.stack.drivers()
    traffic.assert_all_judged()
    verified = story.stack.paylake("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "The books balance" in verified.stdout


def test_what_is_old_goes_and_what_is_at_work_stays(story: Story) -> None:
    layout, airflow = story.stack.layout, story.airflow
    (driver,), (stream,) = story.stack.drivers(), airflow.unfinished("fraud_stream")
    assert airflow.run("bronze_profiles") == "success"
    runs = airflow.get("dags/bronze_profiles/dagRuns", limit=100)["dag_runs"]
    by_itself = [run for run in runs if run["run_type"] != "manual"]
    newest = max(by_itself, key=lambda run: datetime.fromisoformat(run["queued_at"]))["dag_run_id"]
    assert len(runs) > 1
    young = airflow.asset_events("bronze/account-folder")
    assert young

    with psycopg.connect(postgres.dsn(layout, load_secrets(layout), "airflow")) as database:
        for table in ("dag_run", "task_instance"):
            database.execute(
                f"UPDATE {table} SET start_date = start_date - interval '40 days',"  # noqa: S608 - names from above
                " end_date = end_date - interval '40 days' WHERE dag_id IN ('bronze_profiles', 'fraud_stream')"
            )
        database.execute(
            "UPDATE asset_event SET timestamp = timestamp - interval '40 days' WHERE source_dag_id = 'bronze_profiles'"
        )
    with psycopg.connect(story.settings.warehouse_dsn) as warehouse:
        warehouse.execute("UPDATE ops.stream_batch SET committed_at = committed_at - interval '3 days'")
    logs = sorted((layout.task_logs / "dag_id=bronze_profiles").rglob("*.log"), key=lambda path: path.stat().st_mtime)
    for number, path in enumerate(logs):
        then = time.time() - 40 * 86_400 + number
        os.utime(path, (then, then))

    assert airflow.run("retention") == "success", story.stack.paylake("logs", "retention").stdout
    kept = airflow.get("dags/bronze_profiles/dagRuns", limit=100)["dag_runs"]
    assert [run["dag_run_id"] for run in kept] == [newest]
    assert airflow.asset_events("bronze/profiles-folder") == []
    assert airflow.asset_events("bronze/account-folder") == young
    assert list((layout.task_logs / "dag_id=bronze_profiles").rglob("*.log")) == logs[-1:]
    assert max(count for (count,) in story.rows("SELECT count(*) FROM ops.stream_batch GROUP BY checkpoint_id")) <= 2

    assert [run["dag_run_id"] for run in airflow.unfinished("fraud_stream")] == [stream["dag_run_id"]]
    assert story.stack.drivers() == [driver]
    verified = story.stack.paylake("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
