"""What was scored before: the features of transactions, and the memory they are read from.

The memory is no state of its own. It holds sums over what the verdict tables have, is filled from them when an entity
is met that it does not know, and may be dropped at any time (`History.forget`): the features stay the same. What they
mean is written in docs/features.md.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import pyarrow as pa

from include.fraud.computed import arrow_type, since_newest, summed
from include.fraud.features import OF_NEWEST, Entity, Feature, Member, filter_condition
from include.fraud.memory import Memory, Passing, Plan
from include.fraud.summary import Summary

DEFAULT_REMEMBERED = 50_000
"""So many users are held in memory between two batches, and as many merchants."""

Recall: TypeAlias = Callable[[Member, Mapping[str, int]], Iterable[pa.Table]]
"""What was scored before of users or merchants (by id), each from a moment on; tables have the columns `RECALLED`."""

RECALLED = pa.schema(
    [
        ("txn_id", pa.string()),
        ("user_id", pa.string()),
        ("amount", pa.decimal128(19, 4)),
        ("merchant_id", pa.string()),
        ("channel", pa.string()),
        ("location", pa.string()),
        ("timestamp", pa.timestamp("us", "UTC")),
    ]
)


class History:
    """Tells the features of transactions but those over marks, and remembers them.

    ``recall`` is asked for what is not in memory.
    """

    def __init__(self, features: Sequence[Feature], recall: Recall, remembered: int = DEFAULT_REMEMBERED) -> None:
        self._features = [one for one in features if one.marked is None]
        self._filters = {one.filter: filter_condition(one.filter) for one in self._features if one.filter is not None}
        self._recall = recall
        self._remembered = remembered
        self._plans = {entity: Plan.of(one for one in self._features if one.entity is entity) for entity in Entity}
        self._spans = {
            Member.USER: max(self._plans[Entity.USER].span, self._plans[Entity.USER_MERCHANT].span),
            Member.MERCHANT: self._plans[Entity.MERCHANT].span,
        }
        self._memories: dict[Member, OrderedDict[str, Memory]] = {one: OrderedDict() for one in self._spans}

    def forget(self, transactions: pa.Table | None = None) -> None:
        """Drop what is in memory, or what is there of the users and merchants of these transactions."""
        for member, memories in self._memories.items():
            if transactions is None:
                memories.clear()
            else:
                for name in transactions[member.column].to_pylist():
                    memories.pop(name, None)

    def pass_by(self, table: pa.Table) -> dict[str, pa.Array]:
        """The features of each transaction by name, each counted from then on; the rows come in the order of scoring.

        ``table`` has the columns of `RECALLED`, and may have others of the contract. A feature is a boolean, a whole
        number or a decimal; null where there is nothing to tell.
        """
        if not self._features or not table.num_rows:
            return {one.name: pa.nulls(table.num_rows, arrow_type(one)) for one in self._features}
        passing = Passing(table, self._filters)
        self._meet(passing)
        found: dict[str, pa.Array] = {}
        for entity, plan in self._plans.items():
            met = self._met(entity, passing)
            mine = [one for one in self._features if one.entity is entity]
            for number, window in enumerate(plan.windows):
                asked = [one for one in mine if window.serves(one)]
                found |= summed(asked, window, plan.windows[window], [one.series[number] for one in met], passing)
            for number, text in enumerate(plan.filters):
                asked = [one for one in mine if one.function in OF_NEWEST and one.filter == text]
                found |= since_newest(asked, text, number, met, passing)
        for memories in self._memories.values():
            while len(memories) > self._remembered:
                memories.popitem(last=False)
        return found

    def _meet(self, passing: Passing) -> None:
        """Have the memory of each user and merchant reach back far enough for these transactions."""
        for member, span in self._spans.items():
            if not span:
                continue
            memories = self._memories[member]
            earliest: dict[str, int] = {}
            for name, time in zip(passing.members[member], passing.times, strict=True):
                if time < earliest.get(name, time + 1):
                    earliest[name] = time
            unknown: dict[str, int] = {}
            for name, time in earliest.items():
                known = memories.get(name)
                # Some more, so that the next one that is late does not ask again.
                since = time - span - span // 8
                if known is None or known.since > time - span:
                    unknown[name] = since
                else:
                    known.leave_merchants(since, self._plans[Entity.USER_MERCHANT])
                    memories.move_to_end(name)
            if unknown:
                self._remember(member, unknown)

    def _remember(self, member: Member, sinces: Mapping[str, int]) -> None:
        own = Entity(member)
        memories = self._memories[member]
        for name, since in sinces.items():
            memories[name] = self._plans[own].blank(since)
            memories.move_to_end(name)
        for recalled in self._recall(member, sinces):
            self._add(member, recalled)

    def _add(self, member: Member, recalled: pa.Table) -> None:
        own = Entity(member)
        summary = Summary(recalled, self._filters)
        for entity in (own, Entity.USER_MERCHANT) if member is Member.USER else (own,):
            plan = self._plans[entity]
            if not plan.span:
                continue
            met = [self._of(entity, *names) for names in summary.entities(entity)]
            for number, (window, kinds) in enumerate(plan.windows.items()):
                for of, panes in summary.panes(entity, window, kinds):
                    met[of].series[number].take_in(panes)
            for number, text in enumerate(plan.filters):
                for of, sighting in summary.newest(entity, text):
                    met[of].see(number, sighting)

    def _met(self, entity: Entity, passing: Passing) -> list[Memory]:
        """The memory of the entity of each transaction."""
        if not self._plans[entity].span:
            return []
        columns = (passing.members[Member(part)] for part in entity.split("_"))
        return [self._of(entity, *names) for names in zip(*columns, strict=True)]

    def _of(self, entity: Entity, *names: str) -> Memory:
        """The memory of an entity, whose user or merchant is known."""
        if entity is not Entity.USER_MERCHANT:
            return self._memories[Member(entity)][names[0]]
        user = self._memories[Member.USER][names[0]]
        memory = user.at_merchants.get(names[1])
        if memory is None:
            memory = user.at_merchants[names[1]] = self._plans[entity].blank(user.since)
        return memory
