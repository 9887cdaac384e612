"""Why an ingestion ends with an error; each message says what happened and what can be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


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


class RetentionGapError(IngestError):
    """Kafka has deleted records that were never ingested; ``gaps`` says which, in the order of the partitions.

    All that Kafka held before the gaps and in other partitions is in bronze; what it holds behind them is not.
    """

    def __init__(self, topic: str, topic_id: str, gaps: Sequence[Gap]) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.gaps = tuple(sorted(gaps, key=lambda gap: gap.partition))
        which = ", ".join(f"offsets {gap.first} to {gap.last} of partition {gap.partition}" for gap in self.gaps)
        super().__init__(
            f"topic {topic} ({topic_id}): {which} are gone from Kafka and were never ingested. Retention passed the "
            "reader; lengthen it, and reset the topic to go on (the DAG reset_topics brings what is left into bronze)"
        )


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
