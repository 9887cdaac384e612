"""What the next micro-batch of a bronze stream holds."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from include.lake.bronze_log import BronzeLog
from include.lake.positions import Positions

_ROUNDS_ALIVE = 20
"""A topic counts as alive until so many rounds in a row brought nothing."""
_WORTH_A_LOOK = 100
"""The next round comes when so many offsets should be there, by the speed at which they came last."""
_SHORTEST_WAIT = 0.05
_LIST_SECONDS = 60.0
"""How often a partition is listed, so that a missing object is noticed."""


class BatchPlanner:
    """Goes forward along bronze; each step takes about ``max_records`` offsets or ``max_bytes`` of objects.

    Whichever is less, but at least one whole object of each partition.

    Rounds follow the load: the more comes, the sooner is the next one; while nothing comes, the wait doubles up to
    ``look_seconds``. Asked before, the planner looks at nothing and answers as the last time.

    A round costs one listing for the topic ids and, per topic that is alive, one for its partitions and one HEAD for
    each partition that has no news; a partition is listed when it has many, and each minute. Topics without news (each
    reset leaves one behind for ever) take turns, one in each round.

    Positions only grow, and each step ends where an object ends.
    """

    def __init__(
        self,
        log: BronzeLog,
        positions: Positions,
        max_records: int,
        max_bytes: int,
        look_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._positions = {topic_id: dict(partitions) for topic_id, partitions in positions.items()}
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._rounds_left: dict[str, int] = {}
        self._quiet: deque[str] = deque()
        self._listed: dict[tuple[str, int], float] = {}
        self._look_seconds = look_seconds
        self._clock = clock
        self._looked = clock()
        self._wait = 0.0

    def next_end(self) -> Positions:
        """Take one step and return where it ends; the same as before when there is nothing new, or it is too soon."""
        now = self._clock()
        if now >= self._looked + self._wait:
            moved = self._look()
            if moved:
                self._wait = min(self._look_seconds, _WORTH_A_LOOK * (now - self._looked) / moved)
            else:
                self._wait = min(self._look_seconds, max(_SHORTEST_WAIT, 2 * self._wait))
            self._looked = now
        return {topic_id: dict(ends) for topic_id, ends in self._positions.items()}

    def _look(self) -> int:
        """Take a step; returns how many offsets it has."""
        moved = 0
        partitions = {topic_id: self._log.partitions(topic_id) for topic_id in self._topics_of_round()}
        parts = max(1, sum(map(len, partitions.values())))
        for topic_id, numbers in partitions.items():
            came = self._advance_topic(topic_id, numbers, parts)
            self._rounds_left[topic_id] = _ROUNDS_ALIVE if came else self._rounds_left[topic_id] - 1
            moved += came
        return moved

    def _topics_of_round(self) -> list[str]:
        """The topics that are alive, and the next of the quiet ones."""
        for topic_id in self._log.topic_ids():
            self._rounds_left.setdefault(topic_id, _ROUNDS_ALIVE)
        alive = [topic_id for topic_id, rounds in self._rounds_left.items() if rounds > 0]
        quiet = self._rounds_left.keys() - alive
        self._quiet.extend(sorted(quiet.difference(self._quiet)))
        turn = self._quiet.popleft() if self._quiet else None
        return alive if turn is None or turn in alive else [*alive, turn]

    def _advance_topic(self, topic_id: str, partitions: list[int], parts: int) -> int:
        known = self._positions.setdefault(topic_id, {})
        moved = 0
        for partition in partitions:
            start = known.get(partition, 0)
            end = max(start, self._advance(topic_id, partition, start, parts))
            moved += end - start
            known[partition] = end
        return moved

    def _advance(self, topic_id: str, partition: int, start: int, parts: int) -> int:
        """Where a partition's step ends, which may take one of ``parts`` equal shares of what a step may."""
        limit = start + self._max_records // parts
        max_bytes = self._max_bytes // parts
        listed = self._listed.get((topic_id, partition))
        if listed is not None and self._clock() < listed + _LIST_SECONDS:
            return self._log.follow(topic_id, partition, start, limit, max_bytes)
        self._listed[topic_id, partition] = self._clock()
        if listed is None:
            # A first position may have been chosen by somebody and lie inside an object.
            start = self._log.aligned(topic_id, partition, start)
        return self._log.step(topic_id, partition, start, limit, max_bytes)
