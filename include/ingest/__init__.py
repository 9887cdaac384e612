"""From Kafka into bronze: each record in exactly one object, once, whatever is killed when."""

from include.ingest.errors import (
    Gap,
    IngestError,
    KafkaUnavailableError,
    PartitionsStuckError,
    PositionBeyondEndError,
    S3UnavailableError,
    StoreFullError,
    TopicMissingError,
)
from include.ingest.limits import Limits
from include.ingest.writer import IngestReport, ingest

__all__ = [
    "Gap",
    "IngestError",
    "IngestReport",
    "KafkaUnavailableError",
    "Limits",
    "PartitionsStuckError",
    "PositionBeyondEndError",
    "S3UnavailableError",
    "StoreFullError",
    "TopicMissingError",
    "ingest",
]
