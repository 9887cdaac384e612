"""Why a record of reference data has no place of its own: a newer one of its id, or a delete, also in envelopes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from include.domains import MERCHANTS, Domain
from include.lake.records import BronzeRecord
from include.quality import Outcome, Valid, classify
from include.verify.superseded import Superseded
from tests.support.domains import unwrapping
from tests.support.envelopes import changed, connected, framed
from tests.support.records import GOOD

KAFKA_TIME_MS = 1_769_904_000_000


def record(offset: int, value: object) -> BronzeRecord:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return BronzeRecord("topic", 0, offset, KAFKA_TIME_MS, KAFKA_TIME_MS, raw)


def merchant(number: int, day: int) -> dict[str, Any]:
    return GOOD["merchants"] | {"merchant_id": f"M{number}", "timestamp": f"2026-01-{day:02} 12:00:00"}


def silver(*rows: tuple[str, int]) -> pa.Table:
    """Rows of id and day; their records came first."""
    return pa.table(
        {
            "merchant_id": [identity for identity, _ in rows],
            "timestamp": pa.array(
                [datetime(2026, 1, day, 12, tzinfo=UTC) for _, day in rows], pa.timestamp("us", "UTC")
            ),
            **{name: [0] * len(rows) for name in MERCHANTS.newest_by[1:]},
        }
    )


def test_what_is_taken_out_of_an_envelope_is_superseded_or_deleted(tmp_path: Path) -> None:
    domain = unwrapping(MERCHANTS, tmp_path, "debezium", "schema_registry")
    superseded = Superseded(domain, {"topic": 0}, older_contract=False)
    assert superseded.take(record(1, merchant(1, 2))) == "superseded"
    assert superseded.take(record(2, framed(json.dumps(merchant(2, 2)).encode()))) == "superseded"
    assert superseded.take(record(3, changed("u", merchant(3, 2)))) == "superseded"
    assert superseded.take(record(4, changed("d", None, merchant(4, 2)))) == "tombstone"
    assert superseded.take(record(5, connected(merchant(5, 2)))) is None
    assert superseded.take(record(6, b"garbage")) is None
    assert superseded.findings(silver(("M1", 3), ("M2", 3), ("M3", 3))) == []
    older, missing = superseded.findings(silver(("M1", 1), ("M2", 3)))[::-1]
    assert (older.check, older.ids) == ("silver_older", ("M1",))
    assert (missing.check, missing.ids) == ("silver_misses", ("M3",))


def test_an_older_contract_may_have_had_any_envelope_taken_off() -> None:
    superseded = Superseded(MERCHANTS, {"topic": 0}, older_contract=True)
    for offset, value in enumerate(
        [
            {"merchant_id": "M1"},
            framed(b'{"merchant_id": " M1 "}'),
            connected(merchant(1, 2)),
            connected(changed("c", merchant(1, 2))),
        ]
    ):
        assert superseded.take(record(offset, value)) == "superseded"
    assert superseded.take(record(7, changed("d", None))) == "tombstone"
    for value in (b"garbage", framed(b"\x0aM0001"), changed("c", None), {"merchant_id": 1}, {}):
        assert superseded.take(record(8, value)) is None
    assert superseded.findings(silver(("M1", 1))) == []


def test_an_older_contract_may_have_read_the_id_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Today's contract reads ids without the zeros that they are written with."""

    def without_zeros(domain: Domain, record: BronzeRecord) -> Outcome:
        outcome = classify(domain, record)
        assert isinstance(outcome, Valid)
        return Valid(outcome.row | {"merchant_id": outcome.row["merchant_id"].replace("0", "")})

    monkeypatch.setattr("include.verify.superseded.classify", without_zeros)
    written = GOOD["merchants"] | {"merchant_id": "M001", "timestamp": "2026-01-02 12:00:00"}
    for older_contract, missing in ((True, []), (False, ["silver_misses"])):
        superseded = Superseded(MERCHANTS, {"topic": 0}, older_contract)
        assert superseded.take(record(1, written)) == "superseded"
        assert [one.check for one in superseded.findings(silver(("M001", 3)))] == missing
        # Neither id is there: nothing explains that.
        assert superseded.take(record(1, written)) == "superseded"
        assert [one.check for one in superseded.findings(silver(("M9", 3)))] == ["silver_misses"]
