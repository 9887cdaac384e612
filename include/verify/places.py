"""In which tables the records of a domain are, by their coordinates in Kafka."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray
from psycopg.sql import Composed

from include.verify.offsets import NONE, Offsets, Partition, below

FRAUD, GENUINE, DUPLICATE, QUARANTINE, SILVER = range(5)
NAMES = ("fraud", "genuine", "duplicate", "quarantine", "silver")

_CHUNK_BYTES = 16 * 1024 * 1024
_NAME = pa.dictionary(pa.int32(), pa.string())
_SCHEMA = pa.schema([("topic_id", _NAME), ("partition", pa.int32()), ("offset", pa.int64()), ("place", _NAME)])


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
        return np.unique(self.offsets[1:][self.offsets[1:] == self.offsets[:-1]])

    def names_of(self, offset: int) -> list[str]:
        """The places of one record."""
        return [NAMES[place] for place in self.places[self.offsets == offset].tolist()]


class Places:
    """The places of all records of a domain, by partition."""

    def __init__(self, tables: Iterable[pa.Table]) -> None:
        self._placed = _by_partition(pa.concat_tables([_SCHEMA.empty_table(), *tables]))

    def of(self, partition: Partition) -> Placed:
        """Those of one partition."""
        return self._placed.get(partition, Placed())

    def partitions(self) -> Sequence[Partition]:
        """The partitions of which any record has a place."""
        return list(self._placed)


def copied(conn: psycopg.Connection, statement: Composed) -> Iterator[pa.Table]:
    """The rows of a ``COPY … TO STDOUT`` of topic id, partition, offset and place, in pieces.

    Raises:
        psycopg.Error: the warehouse does not answer, or refuses.
    """
    options = pa_csv.ReadOptions(column_names=_SCHEMA.names)
    types = pa_csv.ConvertOptions(column_types=dict(zip(_SCHEMA.names, _SCHEMA.types, strict=True)))
    buffer = io.BytesIO()
    with conn.cursor() as cursor, cursor.copy(statement) as copy:
        for row in copy:
            buffer.write(row)
            if buffer.tell() >= _CHUNK_BYTES:
                buffer.seek(0)
                yield pa_csv.read_csv(buffer, options, convert_options=types)
                buffer = io.BytesIO()
    if buffer.tell():
        buffer.seek(0)
        yield pa_csv.read_csv(buffer, options, convert_options=types)


def silver_places(rows: pa.Table) -> pa.Table:
    """The coordinates of silver's rows in the form of the others."""
    columns = [rows[name] for name in ("bronze_topic_id", "bronze_partition", "bronze_offset")]
    columns[0] = columns[0].cast(pa.string()).dictionary_encode()
    place = pa.repeat(pa.scalar(NAMES[SILVER]), rows.num_rows).dictionary_encode()
    return pa.table([*columns, place], names=_SCHEMA.names).cast(_SCHEMA)


def _by_partition(table: pa.Table) -> dict[Partition, Placed]:
    if not table.num_rows:
        return {}
    table = table.unify_dictionaries().combine_chunks()
    topics, named = (table[name].chunk(0) for name in ("topic_id", "place"))
    topic = topics.indices.to_numpy(zero_copy_only=False)
    partition = table["partition"].to_numpy()
    offset = table["offset"].to_numpy()
    codes = np.array([NAMES.index(name) for name in named.dictionary.to_pylist()], np.int8)
    place = codes[named.indices.to_numpy(zero_copy_only=False)]
    order = np.lexsort((offset, partition, topic))
    topic, partition, offset, place = topic[order], partition[order], offset[order], place[order]
    changes = np.flatnonzero((np.diff(topic) != 0) | (np.diff(partition) != 0)) + 1
    names = topics.dictionary.to_pylist()
    starts = [0, *changes.tolist()]
    ends = [*starts[1:], offset.size]
    return {
        (names[topic[start]], int(partition[start])): Placed(offset[start:end], place[start:end])
        for start, end in zip(starts, ends, strict=True)
    }
