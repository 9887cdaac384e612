"""Transactions that were scored before, summed up as whole columns: what a memory takes in, without a look at each.

A history may have tens of thousands of transactions of one user; of them a series remembers some panes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.fraud.expressions import Condition
from include.fraud.features import Entity, Member
from include.fraud.memory import Newest, Window, passing_masks
from include.fraud.series import REMEMBERED, Pane, blank_members
from include.fraud.units import units_of

_SQUARABLE = pa.decimal256(19, 4)
"""Its squares are exact, and so are sums of them."""

_Numbers: TypeAlias = npt.NDArray[np.int64]


class _Coded(NamedTuple):
    """A column as numbers from zero on, and the value that each number stands for."""

    codes: _Numbers
    values: list[str]


class Summary:
    """What a table with the columns of ``include.fraud.history.RECALLED`` adds up to, by entities.

    ``entities`` names them; in what the other methods yield, an entity is its place there.
    """

    def __init__(self, table: pa.Table, filters: Mapping[str, Condition]) -> None:
        self._table = table
        self._masks = {
            text: None if mask is None else mask.to_numpy(zero_copy_only=False)
            for text, mask in passing_masks(table, filters).items()
        }
        self._times: _Numbers = table["timestamp"].cast(pa.int64()).to_numpy()
        amounts = table["amount"].cast(_SQUARABLE)
        self._amounts = {"amount": table["amount"], "square": pc.multiply(amounts, amounts)}
        self._coded = cache(self._code)
        self._of = cache(self._entity)

    def entities(self, entity: Entity) -> list[tuple[str, ...]]:
        """The ids of each: one, or those of the user and the merchant."""
        return self._of(entity)[1]

    def panes(self, entity: Entity, window: Window, kinds: Sequence[Member]) -> Iterator[tuple[int, dict[int, Pane]]]:
        """For each entity the panes of a window that a series may remember, by number."""
        codes, names = self._of(entity)
        columns = {"entity": codes, "pane": self._times // window.pane} | self._amounts
        columns |= {kind: self._coded(kind).codes for kind in kinds}
        rows = pa.table(columns)
        mask = self._masks[window.filter]
        if mask is not None:
            rows = rows.filter(pa.array(mask))
        sums = [([], "count_all"), ("amount", "sum"), ("square", "sum"), ("amount", "max")]
        groups = rows.group_by(["entity", "pane"]).aggregate(sums)
        groups = groups.sort_by([("entity", "ascending"), ("pane", "ascending")])
        of = groups["entity"].to_numpy()
        # A series remembers its newest panes: those that are near the end of their entity's.
        kept = np.searchsorted(of, of, "right") - np.arange(len(of)) <= REMEMBERED
        groups = groups.filter(pa.array(kept))
        found: dict[int, dict[int, Pane]] = {}
        counted = (groups[name].to_pylist() for name in ("entity", "pane", "count_all"))
        summed = (units_of(groups[name]) for name in ("amount_sum", "square_sum", "amount_max"))
        for one, number, count, total, squares, highest in zip(*counted, *summed, strict=True):
            panes = found.get(one)
            if panes is None:
                panes = found[one] = {}
            panes[number] = Pane(blank_members(len(kinds)), count, total, squares, highest)
        oldest = np.zeros(len(names), np.int64)
        oldest[groups["entity"].to_numpy()[::-1]] = groups["pane"].to_numpy()[::-1]
        for place, kind in enumerate(kinds):
            seen = rows.group_by(["entity", "pane", kind]).aggregate([([], "count_all")])
            seen = seen.filter(pa.array(seen["pane"].to_numpy() >= oldest[seen["entity"].to_numpy()]))
            values = self._coded(kind).values
            for one, number, value, count in zip(*(column.to_pylist() for column in seen.columns), strict=True):
                found[one][number].members[place][values[value]] = count
        yield from found.items()

    def newest(self, entity: Entity, passes: str | None) -> Iterator[tuple[int, Newest]]:
        """Entity and transaction, for those that pass a filter, are of one place, and have the latest time there."""
        codes = self._of(entity)[0]
        place = self._coded(Member.LOCATION)
        at = codes * len(place.values) + place.codes
        mask = self._masks[passes]
        rows = np.arange(len(at)) if mask is None else np.flatnonzero(mask)
        places, of_place = np.unique(at[rows], return_inverse=True)
        latest = np.full(len(places), np.iinfo(np.int64).min)
        np.maximum.at(latest, of_place, self._times[rows])
        rows = rows[self._times[rows] == latest[of_place]]
        txn_ids = self._table["txn_id"].take(pa.array(rows)).to_pylist()
        columns = (codes[rows].tolist(), self._times[rows].tolist(), txn_ids, place.codes[rows].tolist())
        for of, time, txn_id, where in zip(*columns, strict=True):
            yield of, (time, txn_id, place.values[where])

    def _code(self, member: Member) -> _Coded:
        encoded = self._table[member.column].combine_chunks().dictionary_encode()
        return _Coded(encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist())

    def _entity(self, entity: Entity) -> tuple[_Numbers, list[tuple[str, ...]]]:
        if entity is not Entity.USER_MERCHANT:
            coded = self._coded(Member(entity))
            return coded.codes, [(value,) for value in coded.values]
        users, merchants = self._coded(Member.USER), self._coded(Member.MERCHANT)
        encoded = pa.array(users.codes * len(merchants.values) + merchants.codes).dictionary_encode()
        pairs = (divmod(pair, len(merchants.values)) for pair in encoded.dictionary.to_pylist())
        names: list[tuple[str, ...]] = [(users.values[user], merchants.values[merchant]) for user, merchant in pairs]
        return encoded.indices.to_numpy().astype(np.int64), names
