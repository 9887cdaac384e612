"""Why an ingestion ends with an error; each message says what happened and what can be done."""

from __future__ import annotations


class IngestError(RuntimeError):
    """The ingestion cannot go on."""


class TopicMissingError(IngestError):
    """There is no such topic."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"there is no topic {topic}: nothing to ingest")


class RetentionGapError(IngestError):
    """Kafka has deleted records that were never ingested: the offsets [``first``, ``last``] are gone."""

    def __init__(self, topic: str, topic_id: str, partition: int, first: int, last: int) -> None:
        super().__init__(
            f"topic {topic} ({topic_id}), partition {partition}: offsets {first} to {last} are gone from Kafka and "
            "were never ingested. Retention passed the reader; lengthen it, or reset the topic to start anew"
        )
        self.topic = topic
        self.topic_id = topic_id
        self.partition = partition
        self.first = first
        self.last = last


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
