"""Features of transactions, from what is remembered before each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isqrt

import pyarrow as pa

from include.fraud.features import Feature, Function, Member
from include.fraud.memory import SECOND, Memory, Newest, Passing, Window
from include.fraud.series import Series
from include.fraud.units import DECIMALS, UNIT, decimals, rounded_ratio
from include.geography import least_distance_km


def arrow_type(feature: Feature) -> pa.DataType:
    """The type of a feature's column."""
    if feature.function is Function.FIRST_TIME:
        return pa.bool_()
    if feature.function in (Function.COUNT, Function.DISTINCT, Function.SPEED_KMH):
        return pa.int64()
    return DECIMALS


def summed(
    features: Sequence[Feature],
    window: Window,
    kinds: Sequence[Member],
    met: Sequence[Series],
    passing: Passing,
) -> dict[str, pa.Array]:
    """The features that a window serves, and the transactions counted."""
    highest_asked = any(one.function is Function.MAX for one in features)
    sums: list[tuple[int, int, int, int]] = []
    seen: list[tuple[tuple[int, int], ...]] = []
    rows = zip(
        met, passing.panes(window), passing.passing[window.filter], passing.amounts, passing.values(kinds), strict=True
    )
    for series, pane, counts, amount, values in rows:
        series.move_to(pane)
        sums.append((series.count, series.total, series.squares, series.highest() if highest_asked else 0))
        if kinds:
            members = zip(series.members, values, strict=True)
            seen.append(tuple((len(known), known[value]) for known, value in members))
        if counts:
            series.add(pane, amount, values)
    found: dict[str, pa.Array] = {}
    for feature in features:
        if feature.of is not None:
            kind = kinds.index(feature.of)
            if feature.function is Function.FIRST_TIME:
                found[feature.name] = pa.array([not of[kind][1] for of in seen], pa.bool_())
            else:
                number = 0 if feature.function is Function.DISTINCT else 1
                found[feature.name] = pa.array([of[kind][number] for of in seen], pa.int64())
        elif feature.function is Function.COUNT:
            found[feature.name] = pa.array([count for count, *_ in sums], pa.int64())
        else:
            amounts = passing.amounts if feature.function is Function.RATIO_TO_MEAN else [0] * len(sums)
            made = _OF_SUMS[feature.function]
            found[feature.name] = decimals([made(*one, amount) for one, amount in zip(sums, amounts, strict=True)])
    return found


def _mean(count: int, total: int, _squares: int, _highest: int, _amount: int) -> int | None:
    return rounded_ratio(total, count) if count else None


def _stddev(count: int, total: int, squares: int, _highest: int, _amount: int) -> int | None:
    if count < 2:
        return None
    # Twice the root of the variance, cut to a whole number; then half of it, rounded.
    return (isqrt(4 * (count * squares - total * total) // (count * (count - 1))) + 1) // 2


def _ratio_to_mean(count: int, total: int, _squares: int, _highest: int, amount: int) -> int | None:
    return rounded_ratio(amount * count * UNIT, total) if count else None


_OF_SUMS: Mapping[Function, Callable[[int, int, int, int, int], int | None]] = {
    Function.SUM: lambda _count, total, _squares, _highest, _amount: total,
    Function.MAX: lambda count, _total, _squares, highest, _amount: highest if count else None,
    Function.MEAN: _mean,
    Function.STDDEV: _stddev,
    Function.RATIO_TO_MEAN: _ratio_to_mean,
}
"""From a window's count, total, squares and highest amount, and the transaction's own amount; all in units."""


def since_newest(
    features: Sequence[Feature], passes: str | None, number: int, met: Sequence[Memory], passing: Passing
) -> dict[str, pa.Array]:
    """The features that look at the newest transaction before, and the transactions seen."""
    before: list[Newest | None] = []
    elsewhere: list[Newest | None] = []
    for memory, counts, one in zip(met, passing.passing[passes], passing.sightings(), strict=True):
        newest = memory.newest[number]
        before.append(newest)
        elsewhere.append(memory.elsewhere[number] if newest is not None and newest[2] == one[2] else newest)
        if counts:
            memory.see(number, one)
    found: dict[str, pa.Array] = {}
    places = passing.members[Member.LOCATION]
    for feature in features:
        longest = feature.window * SECOND
        if feature.function is Function.SECONDS_SINCE_LAST:
            since = [
                None if newest is None or not 0 <= time - newest[0] < longest else time - newest[0]
                for newest, time in zip(before, passing.times, strict=True)
            ]
            found[feature.name] = decimals([None if one is None else one * UNIT // SECOND for one in since])
        else:
            speeds = [
                None
                if newest is None or abs(time - newest[0]) >= longest
                else _speed(newest[2], place, time - newest[0])
                for newest, time, place in zip(elsewhere, passing.times, places, strict=True)
            ]
            found[feature.name] = pa.array(speeds, pa.int64())
    return found


def _speed(one: str, other: str, microseconds: int) -> int | None:
    """The least km/h, a whole number, that gets somebody from one place to the other; no time counts as a second."""
    distance = least_distance_km(one, other)
    return None if distance is None else distance * 3600 * SECOND // max(SECOND, abs(microseconds))
