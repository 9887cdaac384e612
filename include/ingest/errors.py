"""Why an ingestion ends with an error; each message says what happened and what can be done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from include.kafka.unreadable import Unreadable

if TYPE_CHECKING:
    from include.ingest.writer import IngestReport


class IngestError(RuntimeError):
    """The ingestion cannot go on."""


class TopicMissingError(IngestError):
    """There is no such topic."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"there is no topic {topic}: nothing to ingest")


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets of one partition, the ``first`` and the ``last`` one, that were gone before they were ingested."""

    partition: int
    first: int
    last: int

    def __str__(self) -> str:
        return f"offsets {self.first} to {self.last} of partition {self.partition} are gone and were never ingested"


Obstacle: TypeAlias = Gap | Unreadable
"""Why a partition is read no further."""


class PartitionsStuckError(IngestError):
    """Some partitions are read no further; ``obstacles`` says which and why, in the order of the partitions.

    All that Kafka held before the obstacles and in other partitions is in bronze; what it holds behind them is not.
    ``report`` is what was ingested.
    """

    def __init__(self, topic: str, topic_id: str, obstacles: Iterable[Obstacle], report: IngestReport) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.report = report
        self.obstacles = tuple(sorted(obstacles, key=lambda one: one.partition))
        texts = [f"{obstacle}. {way_out(topic_id, obstacle)}" for obstacle in self.obstacles]
        super().__init__(f"topic {topic} ({topic_id}): {'; '.join(texts)}")


def way_out(topic_id: str, obstacle: Obstacle) -> str:
    """What can be done about an obstacle."""
    if isinstance(obstacle, Gap):
        return (
            "Retention passed the reader; lengthen it, and reset the topic to go on (the DAG reset_topics brings what "
            "is left into bronze)"
        )
    place = f"{topic_id}/{obstacle.partition}/{obstacle.first}"
    return f"`./paylake quarantine skip {place}` steps over it and leaves a note in quarantine"


class SkipRefusedError(IngestError):
    """What should be stepped over can be read, or is not what stops its partition; the message says which."""


class PositionBeyondEndError(IngestError):
    """Kafka ends before bronze does: the brokers lost records that they had delivered."""

    def __init__(self, topic: str, topic_id: str, partition: int, position: int, end: int) -> None:
        super().__init__(
            f"topic {topic} ({topic_id}), partition {partition}: bronze reaches to offset {position}, Kafka only to "
            f"{end}. The brokers lost records and would give their offsets to others; reset the topic to start anew"
        )


class KafkaUnavailableError(IngestError):
    """Kafka did not answer, or delivered nothing that it has, for longer than the limit."""


class S3UnavailableError(IngestError):
    """An object could not be written within the limit."""


class StoreFullError(IngestError):
    """The object store has no room for another object; ``code`` is the name that the store gives to that."""

    def __init__(self, code: str) -> None:
        super().__init__(
            f"the object store is full ({code}). Give it more room, or remove what is not Paylake's: the objects of "
            "bronze are needed. Nothing is lost: what is not in bronze is still in Kafka, while its retention lasts"
        )
