"""Whatever client sends it, with whatever it adds: a population is in gold, transactions are judged, the books balance.

All clients send first; then everything goes through the layers once. Each test looks at one client's part of it.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the library forgot to list some of these
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from typer.testing import CliRunner

from include.domains import DOMAINS, MERCHANTS, PROFILES, REFERENCE_DOMAINS, TRANSACTIONS, Domain
from include.kafka.topics import ensure_topics
from include.lake.bronze_log import BronzeLog
from include.lake.records import BronzeRecord, Original
from include.lake.s3 import s3_client
from include.postgres import connect
from include.redrive.cli import app as quarantine_cli
from include.settings import Settings
from include.verify import Report, verify
from tests.foreign.clients import (
    Message,
    Send,
    confluent,
    confluent_aborting,
    first_acknowledgement_lost,
    kafka_python,
    undressed,
)
from tests.foreign.population import (
    CLIENTS,
    CLIENTS_OF_BEFORE,
    EVERYONE,
    HEADERS,
    WILD_TIMES,
    Client,
    expected,
    identity,
    merchant,
    message,
    messages,
    messages_of,
    number_of,
    payment,
    user,
)
from tests.support.books import begin_anew, judge_all
from tests.support.bronze import drain
from tests.support.domains import allow_amounts_up_to_1000, require_city, stricter
from tests.support.quarantine import redrive
from tests.support.silver import load_gold, run_silver, worker_process

pytestmark = pytest.mark.integration

REFUSED, ABORTED, TWICE, NEWER, LOST = 900, 901, 902, 903, 904
"""Numbers of senders that are not in the list of clients."""

FOUND = {
    "users": "SELECT user_id, credit_score FROM users",
    "merchants": "SELECT merchant_id, merchant_name FROM merchants",
    "accounts": "SELECT account_id, current_balance FROM accounts",
    "verdicts": "SELECT txn_id, CASE WHEN is_fraud THEN 'fraud' ELSE 'genuine' END FROM transactions",
}


@dataclass
class Everything:
    """What was sent, and what the warehouse has of it after all layers have run once.

    ``failed`` has the error of each one that could not send. ``sent`` counts by topic what Kafka has to hold.
    """

    settings: Settings
    home: Path
    sent: Counter[str] = field(default_factory=Counter)
    failed: dict[str, Exception] = field(default_factory=dict)
    found: dict[str, dict[str, Any]] = field(default_factory=dict)
    report: Report | None = None

    def send(self, name: str, send: Send, *sent: Message, kept: bool = True) -> None:
        """Send, and expect Kafka to keep it or not.

        One that fails must not keep the others from being looked at: the tests of its own raise its error.
        """
        try:
            send(self.settings.kafka_bootstrap_servers, sent)
        except Exception as error:  # noqa: BLE001
            self.failed.setdefault(name, error)
        else:
            self.sent.update(one.topic for one in sent if kept)

    def assert_sent(self, name: str) -> None:
        """Raise what kept this one from sending, if anything did."""
        if name in self.failed:
            raise self.failed[name]

    def query(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        with connect(self.settings.warehouse_dsn) as conn:
            return conn.execute(text.encode(), values).fetchall()

    @property
    def bronze(self) -> BronzeLog:
        """The transactions as they came."""
        return BronzeLog(s3_client(self.settings), TRANSACTIONS)

    def original(self, txn_id: str) -> Original | None:
        """The message that has the verdict."""
        query = "SELECT bronze_topic_id, bronze_partition, bronze_offset FROM transactions WHERE txn_id = %s"
        ((topic_id, partition, offset),) = self.query(query, txn_id)
        return self.bronze.original(topic_id, partition, offset)

    def records(self) -> dict[str, BronzeRecord]:
        """All transactions in bronze by their id."""
        return {
            json.loads(record.value)["txn_id"]: record
            for topic_id, partitions in self.bronze.end_positions().items()
            for partition, end in partitions.items()
            for record in self.bronze.read(topic_id, partition, 0, end)
            if record.value is not None
        }


@pytest.fixture(scope="module")
def everything(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Everything:
    everything = Everything(settings, tmp_path_factory.mktemp("foreign"))
    for domain in DOMAINS.values():
        begin_anew(settings, domain)
    with worker_process() as worker:
        stack_of_before(everything, worker)
        stack_of_today(everything)
        through_all_layers(everything, worker)
    everything.found = {table: dict(everything.query(query)) for table, query in FOUND.items()}
    everything.report = verify(settings, wait_seconds=60)
    return everything


def stack_of_before(everything: Everything, worker: ProcessPoolExecutor) -> None:
    """Topics that keep the times of their clients, and contracts of which later ones take more.

    Of each client in it the merchants and the fraud are refused, to be driven through again.
    """
    keep_times_of_clients(everything.settings)
    for client in CLIENTS_OF_BEFORE:
        everything.send(client.name, client.send, *messages_of(client))
    everything.send("refused", kafka_python(), *refused())
    for domain in (MERCHANTS, TRANSACTIONS):
        drain(domain, everything.settings)
    worker.submit(run_silver, stricter(MERCHANTS, everything.home, require_city), everything.settings).result()
    judge_all(everything.settings, stricter(TRANSACTIONS, everything.home, allow_amounts_up_to_1000))
    # In rows of before it is not noted when a record came.
    with connect(everything.settings.warehouse_dsn) as conn:
        conn.execute("UPDATE ops.quarantine SET taken_ms = NULL")


def keep_times_of_clients(settings: Settings) -> None:
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
    wanted = {
        "message.timestamp.type": "CreateTime",
        "message.timestamp.after.max.ms": str(2**63 - 1),
        # By such times Kafka may delete a record at once; here it must not, at whatever moment it looks.
        "retention.ms": "-1",
    }
    entries = [ConfigEntry(name, to, incremental_operation=AlterConfigOpType.SET) for name, to in wanted.items()]
    resources = [
        ConfigResource(ResourceType.TOPIC, domain.topic, incremental_configs=entries) for domain in DOMAINS.values()
    ]
    for answer in admin.incremental_alter_configs(resources).values():
        answer.result()


def refused() -> list[Message]:
    """Records that say they are of the year 2090, whatever their Kafka timestamp says."""
    year = {"timestamp": "2090-01-01 00:00:00"}
    return [
        replace(message(domain, make(REFUSED, number, **year)), timestamp_ms=time_ms)
        for number, time_ms in enumerate(WILD_TIMES.values())
        for domain, make in ((MERCHANTS, merchant), (TRANSACTIONS, payment))
    ]


def stack_of_today(everything: Everything) -> None:
    """A start of Paylake has changed the topics; then everybody sends."""
    admin = AdminClient({"bootstrap.servers": everything.settings.kafka_bootstrap_servers})
    ensure_topics(admin, [domain.topic for domain in DOMAINS.values()])
    for client in CLIENTS:
        everything.send(client.name, client.send, *messages_of(client))

    everything.send("taken back", confluent_aborting, *messages(ABORTED, undressed), kept=False)

    for domain in DOMAINS.values():
        nothing = Message(domain.topic, "", None)
        everything.send("null values", confluent(), nothing, replace(nothing, key=b"U1"))

    once, again = payment(TWICE, 0), payment(TWICE, 1)
    for body in (once, once, again, again | {"amount": "13.50"}):
        # Each by a producer of its own, which takes any partition.
        everything.send("twice", confluent(), message(TRANSACTIONS, body))

    for one, partitions in enumerate(((1, 0), (0, 1))):
        for partition, score in zip(partitions, (500, 800), strict=True):
            scored = message(PROFILES, user(NEWER, one, credit_score=score))
            everything.send("newer", confluent(), replace(scored, partition=partition))
            await_next_millisecond()

    for one, idempotent in enumerate((True, False)):
        with first_acknowledgement_lost():
            send = kafka_python(enable_idempotence=idempotent)
            everything.send("lost", send, message(TRANSACTIONS, payment(LOST, one)))
    everything.sent[TRANSACTIONS.topic] += 1  # the one without idempotence is there twice


def await_next_millisecond() -> None:
    """Kafka notes when it took a record in milliseconds; by its clock two records are apart after this."""
    begin = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 == begin:
        pass


def through_all_layers(everything: Everything, worker: ProcessPoolExecutor) -> None:
    settings = everything.settings
    for domain in DOMAINS.values():
        drain(domain, settings)
    judge_all(settings)
    # Of the merchants it can only ask silver's next run to take them.
    redrive(settings, everything.home)
    for domain in REFERENCE_DOMAINS.values():
        worker.submit(run_silver, domain, settings).result()
        load_gold(domain, settings)


@pytest.mark.parametrize("client", EVERYONE, ids=lambda client: client.name)
def test_what_a_client_sends_is_in_gold_and_judged(everything: Everything, client: Client) -> None:
    everything.assert_sent(client.name)
    for table, rows in expected(number_of(client)).items():
        assert {one: everything.found[table].get(one) for one in rows} == rows


def test_nothing_else_is_there_and_each_record_has_its_place(everything: Everything) -> None:
    everything.assert_sent("null values")
    assert everything.report is not None
    assert everything.report.balanced, everything.report.problems()
    domains = {domain.domain: domain for domain in everything.report.domains}
    assert {name: domains[name].total("produced") for name in DOMAINS} == {
        name: everything.sent[domain.topic] for name, domain in DOMAINS.items()
    }
    assert {name: domains[name].total("tombstones") for name in DOMAINS} == dict.fromkeys(DOMAINS, 2)
    assert {name: domains[name].total("quarantined") for name in DOMAINS} == {
        "profiles": 0,
        "merchants": len(WILD_TIMES),
        "accounts": 0,
        "transactions": len(WILD_TIMES),
    }
    assert (domains["transactions"].total("duplicates"), domains["transactions"].conflicts) == (3, 1)
    assert domains["profiles"].total("duplicates") == 2


def test_what_was_taken_back_is_nowhere(everything: Everything) -> None:
    everything.assert_sent("taken back")
    for table, rows in expected(ABORTED).items():
        assert rows.keys().isdisjoint(everything.found[table])


def test_one_id_twice_has_one_verdict(everything: Everything) -> None:
    everything.assert_sent("twice")
    once, again = identity("T", TWICE, 0), identity("T", TWICE, 1)
    assert (everything.found["verdicts"][once], everything.found["verdicts"][again]) == ("genuine", "genuine")
    query = "SELECT txn_id, same_body FROM ops.transaction_duplicate WHERE txn_id = ANY(%s) ORDER BY 1"
    assert everything.query(query, [once, again]) == [(once, True), (again, False)]


def test_of_two_records_of_one_moment_the_one_that_came_later_is_the_newer_in_whatever_partition(
    everything: Everything,
) -> None:
    everything.assert_sent("newer")
    ids = [identity("U", NEWER, one) for one in range(2)]
    assert [everything.found["users"][one] for one in ids] == [800, 800]
    query = "SELECT bronze_partition FROM users WHERE user_id = ANY(%s) ORDER BY user_id"
    assert everything.query(query, ids) == [(0,), (1,)]


def test_a_lost_acknowledgement_gives_no_second_verdict(everything: Everything) -> None:
    everything.assert_sent("lost")
    idempotent, not_idempotent = identity("T", LOST, 0), identity("T", LOST, 1)
    assert {"genuine"} == {everything.found["verdicts"][one] for one in (idempotent, not_idempotent)}
    query = "SELECT txn_id, same_body FROM ops.transaction_duplicate WHERE txn_id = ANY(%s)"
    assert everything.query(query, [idempotent, not_idempotent]) == [(not_idempotent, True)]


@pytest.mark.parametrize(
    ("name", "key", "headers"),
    [
        ("headers", None, HEADERS),
        ("values of 999 kB with headers", None, HEADERS[:3]),
        ("a header's name is not UTF-8", b"some key", None),
        # All that the client library tells of a name is what stands before its first NUL.
        ("a header's name has a NUL", None, (("a", b"1"),)),
        ("an empty key", b"", ()),
        ("a key that is no UTF-8", b"\xff\xfe\x00\r\n", ()),
        ("console producer, lz4, values of 999 kB, keys and headers", b"a key of its own", (("source", b"console"),)),
        ("confluent-kafka, none, plain, keyed", None, ()),  # it repeats the record's id
    ],
)  # fmt: skip
def test_what_a_producer_adds_to_a_value_is_kept(
    everything: Everything, name: str, key: bytes | None, headers: tuple[tuple[str, bytes | None], ...] | None
) -> None:
    client = next(client for client in CLIENTS if client.name == name)
    sent = next(sent for sent in messages_of(client) if sent.topic == TRANSACTIONS.topic)
    assert everything.original(sent.identity) == Original(key, headers, sent.value)


def test_bronze_keeps_the_time_that_a_topic_kept_and_knows_when_a_record_came(everything: Everything) -> None:
    records, now_ms = everything.records(), time.time() * 1000
    for client in EVERYONE:
        for sent in messages_of(client):
            if sent.topic == TRANSACTIONS.topic:
                record = records[sent.identity]
                assert record.timestamp_ms == (sent.timestamp_ms if client in CLIENTS_OF_BEFORE else record.taken_ms)
                assert now_ms - 3_600_000 < record.taken_ms <= now_ms


@pytest.mark.parametrize("name", WILD_TIMES)
@pytest.mark.parametrize("domain", [MERCHANTS, TRANSACTIONS], ids=lambda domain: domain.name)
def test_a_refused_record_of_any_time_is_listed_and_shown(everything: Everything, domain: Domain, name: str) -> None:
    everything.assert_sent("refused")
    listed = json.loads(quarantine_says("list", "--json", "--domain", domain.name))
    assert listed["records"] == len(WILD_TIMES)
    (one,) = [one for one in listed["newest"] if one["timestamp_ms"] == WILD_TIMES[name]]
    assert "in_the_future" in [reason["code"] for reason in one["reasons"]]
    body = json.loads(quarantine_says("show", "--raw", one["coordinates"]))
    assert body[domain.key] == identity(domain.key[0].upper(), REFUSED, list(WILD_TIMES).index(name))
    assert one["coordinates"] in quarantine_says("show", one["coordinates"])


def quarantine_says(*arguments: str) -> str:
    """What ``./paylake quarantine`` prints; run in this process, which knows the servers from its environment."""
    result = CliRunner().invoke(quarantine_cli, arguments)
    assert result.exit_code == 0, result.output
    return result.output
