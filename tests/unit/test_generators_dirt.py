"""Dirt: a blemish changes nothing that matters, a breakage is always refused, the newest record comes last."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from include.domains import ACCOUNTS, DOMAINS, TRANSACTIONS, Domain
from include.generators.dirt import BLEMISHES, BREAKAGES, Fields, spoil_reference, spoil_transaction
from include.generators.population import Population
from include.generators.records import Message, encode, money
from include.generators.reference import reference_records
from include.lake.records import BronzeRecord
from include.quality.classify import Outcome, Rejected, Valid, classify

BASE = datetime(2026, 1, 31, 12, tzinfo=UTC)
TRANSACTION: Fields = {
    "txn_id": "Trun-00000001",
    "user_id": "U0001",
    "amount": money(123456),
    "merchant_id": "M0001",
    "channel": "Online",
    "location": "São Paulo",
    "timestamp": "2026-01-31T11:59:00.250Z",
}
SEEDS = range(12)


def dice(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - nothing secret


def records() -> list[tuple[Domain, Fields]]:
    return [*reference_records(Population(3, 12, 12), BASE), (TRANSACTIONS, TRANSACTION)]


def judge(domain: Domain, value: bytes) -> Outcome:
    taken_ms = int(BASE.timestamp() * 1000)
    return classify(domain, BronzeRecord("t", 0, 0, taken_ms, taken_ms, value))


def row(domain: Domain, value: bytes) -> dict[str, object]:
    outcome = judge(domain, value)
    assert isinstance(outcome, Valid), (value, outcome)
    return outcome.row


def spoil(seed: int, domain: Domain, record: Fields, genuine: bool = True) -> list[Message]:
    rng = dice(seed)
    if domain is TRANSACTIONS:
        return spoil_transaction(rng, record, "Trun-00000002", genuine)
    return spoil_reference(rng, domain, record, BASE)


@pytest.mark.parametrize("kind", BREAKAGES)
def test_a_breakage_is_always_refused(kind: str) -> None:
    for domain, record in records():
        for seed in SEEDS:
            broken = BREAKAGES[kind](dice(seed), domain, dict(record))
            assert isinstance(judge(domain, broken), Rejected), broken


@pytest.mark.parametrize("kind", ["outer_spaces", "inner_spaces", "country_spelling", "money_as_text"])
def test_a_blemish_leaves_the_cleaned_row_as_it_was(kind: str) -> None:
    for domain, record in records():
        if (kind == "country_spelling" and "country" not in record) or (
            kind == "money_as_text" and domain not in (ACCOUNTS, TRANSACTIONS)
        ):
            continue
        for seed in SEEDS:
            dirty = encode(BLEMISHES[kind](dice(seed), domain, dict(record)))
            assert row(domain, dirty) == row(domain, encode(record))


def test_mixed_case_changes_nothing_but_the_letters_of_a_location() -> None:
    for domain, record in records():
        for seed in SEEDS:
            dirty = row(domain, encode(BLEMISHES["mixed_case"](dice(seed), domain, dict(record))))
            clean = row(domain, encode(record))
            assert {k: v for k, v in dirty.items() if k != "location"} == {
                k: v for k, v in clean.items() if k != "location"
            }
            assert str(dirty.get("location")).casefold() == str(clean.get("location")).casefold()


@pytest.mark.parametrize(("kind", "most"), [("other_timestamp", timedelta(seconds=1)), ("late", timedelta(hours=48))])
def test_times_only_get_older_and_by_no_more_than_said(kind: str, most: timedelta) -> None:
    for domain, record in records():
        for seed in SEEDS:
            dirty = row(domain, encode(BLEMISHES[kind](dice(seed), domain, dict(record))))
            clean = row(domain, encode(record))
            late = clean[domain.event_time] - dirty[domain.event_time]  # type: ignore[operator]
            assert timedelta(0) <= late <= most


def test_every_record_still_arrives_and_its_newest_version_is_the_last_message_of_its_key() -> None:
    for domain, record in records():
        for seed in SEEDS:
            messages = spoil(seed, domain, record)
            clean = row(domain, encode(record))
            rows = [row(domain, m.value) for m in messages if m.dirt not in BREAKAGES]
            assert all(cleaned[domain.key] == clean[domain.key] for cleaned in rows)
            assert messages[-1].dirt not in BREAKAGES
            if domain is not TRANSACTIONS:
                assert rows[-1][domain.event_time] == max(cleaned[domain.event_time] for cleaned in rows)  # type: ignore[type-var]
            assert {(m.topic, m.key) for m in messages} == {(domain.topic, messages[0].key)}


def test_every_kind_of_dirt_occurs() -> None:
    seen = {m.dirt for d, r in records() for seed in range(300) for m in spoil(seed, d, r)}
    echoes = {"duplicate", "late_update", "repeated_update", "conflicting_copy"}
    assert seen - {None} == set(BREAKAGES) | set(BLEMISHES) | echoes
    assert set(DOMAINS) == {domain.name for domain, _ in records()}


def test_a_fraud_is_never_malformed_nor_contradicted() -> None:
    for seed in range(300):
        messages = spoil(seed, TRANSACTIONS, TRANSACTION, genuine=False)
        rows = [row(TRANSACTIONS, message.value) for message in messages]
        assert all(cleaned["txn_id"] == TRANSACTION["txn_id"] for cleaned in rows)
        assert {cleaned["amount"] for cleaned in rows} == {TRANSACTION["amount"]}


def test_a_broken_transaction_does_not_bear_the_id_of_the_good_one() -> None:
    for seed in range(300):
        for message in spoil(seed, TRANSACTIONS, TRANSACTION):
            if message.dirt in BREAKAGES:
                assert str(TRANSACTION["txn_id"]).encode() not in message.value
