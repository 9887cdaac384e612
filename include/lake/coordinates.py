"""How a record is named, in Kafka and everywhere after it.

In SQL the coordinates are ``topic_id, partition_id, record_offset`` (PARTITION and OFFSET are words of SQL's own), and
``bronze_topic_id, bronze_partition, bronze_offset`` in the tables that users read.
"""

from __future__ import annotations

from typing import NamedTuple


class InvalidCoordinatesError(ValueError):
    """A text names no record; the message shows it and says how to write one."""


class Coordinates(NamedTuple):
    """Where a record is in Kafka and in bronze: unique for ever, because a topic's id never comes back."""

    topic_id: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic_id}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Coordinates:
        """Read ``<topic id>/<partition>/<offset>``.

        Raises:
            InvalidCoordinatesError: the text is something else.
        """
        topic_id, *numbers = text.split("/")
        if not topic_id or len(numbers) != 2 or not all(part.isascii() and part.isdigit() for part in numbers):
            raise InvalidCoordinatesError(f"{text!r} is not <topic id>/<partition>/<offset>")
        partition, offset = map(int, numbers)
        if partition >= 2**31 or offset >= 2**63:
            raise InvalidCoordinatesError(f"{text!r} has a number that Kafka does not know")
        return cls(topic_id, partition, offset)


class Span(NamedTuple):
    """The records of one partition from offset ``first`` to offset ``last``, both included."""

    topic_id: str
    partition: int
    first: int
    last: int
