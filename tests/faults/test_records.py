"""Cases 9, 10 and 11: records as nobody wants them, ids that come twice, and records that come late."""

from __future__ import annotations

import json
from typing import Any

import pytest

from include.domains import TRANSACTIONS
from include.postgres import connect
from include.settings import Settings
from tests.support.books import assert_balanced, begin_anew, judge_all
from tests.support.bronze import drain
from tests.support.kafka import produce
from tests.support.records import encoded, transaction

pytestmark = pytest.mark.integration


def sent(number: int, **changes: Any) -> bytes:
    return encoded(transaction(number, **changes))


def with_text(name: str, text: str, number: int) -> bytes:
    """A transaction in which a field has this very JSON text as its value."""
    return json.dumps(transaction(number) | {name: "\0"}).replace('"\\u0000"', text).encode()


# What is sent, and the field and code of the first reason against it; None: it is taken.
WILD: list[tuple[bytes | None, tuple[str | None, str] | None]] = [
    (b"\xff\xfe{}", (None, "not_utf8")),
    (sent(2).replace(b"Berlin", b"Ber\xc3\x28lin"), (None, "not_utf8")),
    (b"not JSON at all", (None, "not_json")),
    (sent(3)[:-1], (None, "not_json")),
    (b"", (None, "empty")),
    (b" \n", (None, "empty")),
    (b'""', (None, "not_an_object")),
    (b"[]", (None, "not_an_object")),
    (b"null", (None, "not_an_object")),
    (sent(4, note="x" * 1_000_000), None),
    (sent(5, location="x" * 1_000_000), ("location", "too_long")),
    (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, (None, "too_deep")),
    (with_text("amount", "NaN", 6), (None, "not_json")),
    (with_text("amount", '"NaN"', 7), ("amount", "wrong_type")),
    (with_text("amount", "1e400", 8), ("amount", "out_of_range")),
    (with_text("amount", "1" * 40, 9), ("amount", "out_of_range")),
    (with_text("amount", "0." + "1" * 40, 10), ("amount", "too_precise")),
    (with_text("amount", "-5", 11), ("amount", "out_of_range")),
    (with_text("amount", "0", 12), ("amount", "out_of_range")),
    (with_text("amount", '"12,50"', 13), ("amount", "wrong_type")),
    (with_text("amount", "true", 14), ("amount", "wrong_type")),
    (with_text("amount", "[12]", 15), ("amount", "wrong_type")),
    (sent(16)[:-1] + b', "amount": 99999}', (None, "duplicate_key")),
    (sent(17) + sent(18), (None, "extra_data")),
    (sent(19) + b"\n" + sent(20), (None, "extra_data")),
    (sent(21, user_id=21), ("user_id", "wrong_type")),
    (sent(22, user_id=None), ("user_id", "missing")),
    (encoded({key: value for key, value in transaction(1).items() if key != "channel"}), ("channel", "missing")),
    (sent(23, unknown={"nested": [1, 2]}, another=None), None),
    (sent(24, location="Lis\u0000bon"), ("location", "forbidden_character")),
    (sent(25, location="\u202enobsiL"), ("location", "forbidden_character")),
    (sent(26, location="'; DROP TABLE users; --"), None),
    (sent(27, location="<script>alert(1)</script>"), None),
    (sent(28, timestamp="2026-02-30 10:00:00"), ("timestamp", "bad_timestamp")),
    (sent(29, timestamp="9999-12-31 23:59:59"), ("timestamp", "in_the_future")),
    (sent(30, timestamp="0000-01-01 00:00:00"), ("timestamp", "bad_timestamp")),
    (sent(31, timestamp="0001-01-01 00:00:00"), ("timestamp", "out_of_range")),
    (sent(32, timestamp="1900-01-01 00:00:00"), None),
]


def test_each_kind_of_bad_record_is_kept_with_its_reason_and_each_good_one_is_judged(settings: Settings) -> None:
    begin_anew(settings, TRANSACTIONS)
    produce(settings, TRANSACTIONS.topic, [*(value for value, _ in WILD), None], [0])
    drain(TRANSACTIONS, settings)
    judge_all(settings)
    with connect(settings.warehouse_dsn) as conn:
        quarantined = {
            offset: (bytes(raw), reasons[0]["field"], reasons[0]["code"])
            for offset, raw, reasons in conn.execute("SELECT record_offset, raw, reasons FROM ops.quarantine")
        }
        judged = {offset for (offset,) in conn.execute("SELECT bronze_offset FROM transactions")}
    expected = {offset: (value, *reason) for offset, (value, reason) in enumerate(WILD) if reason is not None}
    assert {offset: row[1:] for offset, row in quarantined.items()} == {
        offset: row[1:] for offset, row in expected.items()
    }
    assert quarantined == expected
    assert judged == {offset for offset, (_, reason) in enumerate(WILD) if reason is None}
    (domain,) = assert_balanced(settings, TRANSACTIONS).domains
    assert domain.total("tombstones") == 1


def test_a_txn_id_that_comes_again_has_one_row_and_a_conflict_is_kept_and_shown(settings: Settings) -> None:
    begin_anew(settings, TRANSACTIONS)
    reordered = dict(reversed(transaction(1).items()))
    respelled = transaction(1, amount=10, channel=" online ", timestamp="2026-01-31T13:45:00Z")
    produce(settings, TRANSACTIONS.topic, [transaction(1), transaction(1), reordered, respelled], [0])
    other = sent(1, amount="31000.00")
    produce(settings, TRANSACTIONS.topic, [other], [0])
    drain(TRANSACTIONS, settings)
    judge_all(settings)
    with connect(settings.warehouse_dsn) as conn:
        verdicts = conn.execute("SELECT txn_id, amount::text, is_fraud FROM transactions").fetchall()
        conflicts = conn.execute("SELECT * FROM transaction_conflicts").fetchall()
        kept = conn.execute("SELECT raw FROM ops.transaction_duplicate WHERE NOT same_body").fetchall()
    assert verdicts == [("T0000001", "10.0000", False)]
    assert len(conflicts) == 1
    assert "T0000001" in conflicts[0]
    assert [bytes(raw) for (raw,) in kept] == [other]
    (domain,) = assert_balanced(settings, TRANSACTIONS).domains
    assert (domain.total("valid"), domain.total("duplicates"), domain.conflicts) == (1, 4, 1)


@pytest.mark.parametrize("time", ["2026-01-24 13:45:00", "2025-01-31T13:45:00+02:00", "1999-12-31 23:59:59"])
def test_what_comes_late_is_scored_not_skipped(settings: Settings, time: str) -> None:
    begin_anew(settings, TRANSACTIONS)
    punctual: list[Any] = [transaction(number) for number in range(1, 5)]
    late = [transaction(5, timestamp=time), transaction(6, timestamp=time, amount="45000.00")]
    for values in (punctual, late):
        produce(settings, TRANSACTIONS.topic, values)
        drain(TRANSACTIONS, settings)
        judge_all(settings)
    with connect(settings.warehouse_dsn) as conn:
        found: dict[str, bool] = dict(conn.execute("SELECT txn_id, is_fraud FROM transactions").fetchall())
    assert (found["T0000005"], found["T0000006"]) == (False, True)
    assert len(found) == 6
    assert_balanced(settings, TRANSACTIONS)
