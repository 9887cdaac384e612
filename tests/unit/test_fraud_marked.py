"""Features over marks against their definition: every mark, one after the other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.fraud.features import Feature, Member
from include.fraud.marked import Mark, Marked
from include.fraud.marks import micros_of

START = datetime(2026, 3, 1, tzinfo=UTC)
FEATURES = tuple(
    Feature.model_validate({"name": f"f{number}", "function": "count", **one})
    for number, one in enumerate(
        [
            {"entity": "merchant", "window": "7 days", "marked": "confirmed"},
            {"entity": "merchant", "window": "1 hour", "marked": "false_alarm"},
            {"entity": "user", "window": "1 day", "marked": "confirmed"},
            {"entity": "user_merchant", "window": "30 days", "marked": "confirmed"},
        ]
    )
)


@dataclass(frozen=True)
class Said:
    """What was said of a transaction of this user and merchant, some seconds after the start."""

    txn_id: str
    user_id: str
    merchant_id: str
    kind: str
    at: int

    @property
    def micros(self) -> int:
        return micros_of(START) + self.at * 1_000_000


@dataclass(frozen=True)
class Txn:
    """A transaction with its own time, and that of its scoring, in seconds after the start."""

    user_id: str
    merchant_id: str
    own: int
    scored: int


def oracle(feature: Feature, said: Sequence[Said], one: Txn) -> int:
    """docs/features.md, word by word."""
    pane = feature.window * 1_000_000 // 60
    here = (micros_of(START) + one.own * 1_000_000) // pane
    scored = micros_of(START) + one.scored * 1_000_000
    counted = 0
    for txn_id in {mark.txn_id for mark in said}:
        known = [mark for mark in said if mark.txn_id == txn_id and mark.micros < scored]
        if not known:
            continue
        newest = max(known, key=lambda mark: mark.at)
        columns = [f"{part}_id" for part in feature.entity.split("_")]
        mine = all(getattr(newest, column) == getattr(one, column) for column in columns)
        if mine and newest.kind == feature.marked and here - 59 <= newest.micros // pane <= here:
            counted += 1
    return counted


class Warehouse:
    def __init__(self, said: Sequence[Said]) -> None:
        self.said = said
        self.asked = 0

    def read(self, member: Member, ids: Collection[str], since: int) -> list[Mark]:
        self.asked += 1
        found = []
        for one in self.said:
            if getattr(one, member.column) in ids and one.micros >= since:
                later = [other.micros for other in self.said if other.txn_id == one.txn_id and other.at > one.at]
                until = min(later, default=None)
                found.append(Mark(one.user_id, one.merchant_id, one.kind, one.micros, until))
        return found


SECONDS = st.one_of(
    st.integers(0, 7200), st.integers(-40 * 86_400, 40 * 86_400), st.sampled_from([0, 59, 60, 3540, 3600, 86_400])
)
WHO = {"user_id": st.sampled_from(["U1", "U2"]), "merchant_id": st.sampled_from(["M1", "M2"])}


@st.composite
def marks(draw: st.DrawFn) -> list[Said]:
    """Marks of some transactions, each at a moment of its own."""
    whose = {f"T{number}": draw(st.fixed_dictionaries(WHO)) for number in range(5)}
    told = draw(st.lists(st.tuples(st.sampled_from(sorted(whose)), SECONDS), max_size=20, unique_by=lambda one: one[1]))
    kinds = st.sampled_from(["confirmed", "confirmed", "false_alarm"])
    return [Said(txn_id, **whose[txn_id], kind=draw(kinds), at=at) for txn_id, at in told]


@settings(max_examples=300, deadline=None)
@given(said=marks(), batch=st.lists(st.builds(Txn, **WHO, own=SECONDS, scored=SECONDS), min_size=1, max_size=8))
def test_what_counts_is_what_was_known_within_the_window_and_not_replaced(said: list[Said], batch: list[Txn]) -> None:
    rows = [
        {
            "user_id": one.user_id,
            "merchant_id": one.merchant_id,
            "timestamp": START + timedelta(seconds=one.own),
        }
        for one in batch
    ]
    schema = pa.schema(
        [("user_id", pa.string()), ("merchant_id", pa.string()), ("timestamp", pa.timestamp("us", "UTC"))]
    )
    moments = [micros_of(START) + one.scored * 1_000_000 for one in batch]
    found = Marked(FEATURES, Warehouse(said).read).told(pa.Table.from_pylist(rows, schema), moments)
    for feature in FEATURES:
        assert found[feature.name].to_pylist() == [oracle(feature, said, one) for one in batch]


def test_nobody_is_asked_for_marks_that_no_feature_counts() -> None:
    plain = Feature.model_validate({"name": "f", "entity": "user", "function": "count", "window": "1 hour"})
    warehouse = Warehouse([])
    table = pa.table({"user_id": ["U1"], "merchant_id": ["M1"], "timestamp": pa.array([START])})
    assert Marked([plain], warehouse.read).told(table, [0]) == {}
    assert warehouse.asked == 0


@pytest.mark.parametrize(
    "declared", [{"function": "sum"}, {"of": "location"}, {"filter": "amount < 5"}, {"marked": "open"}]
)
def test_a_declaration_that_makes_no_sense_is_refused(declared: dict[str, str]) -> None:
    sound = {"name": "x", "entity": "user", "function": "count", "window": "1 hour", "marked": "confirmed"}
    Feature.model_validate(sound)
    with pytest.raises(ValueError, match=r"with `marked` there is only count|Input should be"):
        Feature.model_validate(sound | declared)
