"""In which tables the records of a domain are, by their coordinates in Kafka."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString, TypeAlias

import numpy as np
import psycopg
import pyarrow as pa
from numpy.typing import NDArray
from psycopg.sql import SQL, Literal

from include.verify.offsets import NONE, Offsets, Partition, below, distinct, doubled

FRAUD, GENUINE, DUPLICATE, QUARANTINE, SILVER = range(5)
NAMES = ("fraud", "genuine", "duplicate", "quarantine", "silver")

COORDINATES = ("bronze_topic_id", "bronze_partition", "bronze_offset")
"""The columns of silver that say which record a row is of."""

_SPAN = 1_000_000
"""The offsets of so many numbers come in one row, of 8 MB then: a row has one gigabyte at most."""


@dataclass(frozen=True, slots=True)
class Placed:
    """The records of one partition that have a place: ``offsets`` ascending, ``places`` beside them.

    An offset that is there twice is in two places.
    """

    offsets: NDArray[np.int64] = field(default_factory=lambda: NONE)
    places: NDArray[np.int8] = field(default_factory=lambda: np.empty(0, np.int8))

    def below(self, end: int) -> Placed:
        """Those with offsets before ``end``."""
        count = below(self.offsets, end).size
        return Placed(self.offsets[:count], self.places[:count])

    def count(self, place: int) -> int:
        """How many records are in ``place``."""
        return int(np.count_nonzero(self.places == place))

    def doubled(self) -> Offsets:
        """Offsets of records that are in two places, or twice in one."""
        return doubled(self.offsets)

    def distinct(self) -> Offsets:
        """Each record's offset once."""
        return distinct(self.offsets)

    def names_of(self, offset: int) -> list[str]:
        """The places of one record."""
        return [NAMES[place] for place in self.places[self.offsets == offset].tolist()]


Piece: TypeAlias = tuple[str, int, str, NDArray[np.int64]]
"""Topic id, partition, name of a place, and offsets of records that are there, in no order."""


class Places:
    """The places of all records of a domain, by partition."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        found: dict[Partition, list[tuple[int, NDArray[np.int64]]]] = defaultdict(list)
        for topic_id, partition, name, offsets in pieces:
            found[topic_id, partition].append((NAMES.index(name), offsets))
        self._placed = {partition: _in_order(pieces) for partition, pieces in found.items()}

    def of(self, partition: Partition) -> Placed:
        """Those of one partition."""
        return self._placed.get(partition, Placed())

    def partitions(self) -> Sequence[Partition]:
        """The partitions of which any record has a place."""
        return list(self._placed)


def selected(conn: psycopg.Connection, statement: LiteralString, **values: Any) -> Iterator[Piece]:
    """What a statement finds in the warehouse's tables; ``values`` are for its placeholders but ``span``.

    A row that does not say whole which record it is of has no place to give.

    Raises:
        psycopg.Error: the warehouse does not answer, or refuses.
    """
    literals = {name: Literal(value) for name, value in {**values, "span": _SPAN}.items()}
    with conn.cursor(binary=True) as cursor:
        for topic_id, partition, name, offsets in cursor.stream(SQL(statement).format(**literals)):
            if None not in (topic_id, partition, offsets):
                yield topic_id, partition, name, np.frombuffer(offsets, ">i8").astype(np.int64)


def silver_pieces(rows: pa.Table) -> Iterator[Piece]:
    """The coordinates of silver's rows."""
    topic, partition, offset = COORDINATES
    grouped = rows.select(COORDINATES).group_by([topic, partition]).aggregate([(offset, "list")])
    columns = (grouped[name] for name in (topic, partition, f"{offset}_list"))
    for topic_id, number, offsets in zip(*columns, strict=True):
        yield topic_id.as_py(), number.as_py(), NAMES[SILVER], offsets.values.to_numpy()


def _in_order(pieces: Sequence[tuple[int, NDArray[np.int64]]]) -> Placed:
    offsets = np.concatenate([offsets for _, offsets in pieces])
    places = np.repeat(np.array([place for place, _ in pieces], np.int8), [offsets.size for _, offsets in pieces])
    order = np.argsort(offsets, kind="stable")
    return Placed(offsets[order], places[order])
