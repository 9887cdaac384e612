"""What all of Paylake's clients of Kafka have in common: how they come back to a broker, and when one is only away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient

# The library's default leaves up to 10 s between attempts to reach a broker that is back.
RECONNECT = {"reconnect.backoff.max.ms": 1_000}
# An admin client warns about settings that only a consumer has.
_CONSUMER_ONLY = (
    "group.",
    "auto.offset.",
    "check.crcs",
    "enable.auto.",
    "enable.partition.",
    "isolation.",
    "fetch.",
    "queued.",
)
_KAFKA_AWAY = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._RESOLVE,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError._WAIT_COORD,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
        # A topic that is just being made or deleted: asked again, the broker knows it fully, or no more at all.
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNKNOWN_TOPIC_ID,
        # So the client library says that no partition has a leader at the moment, as after a broker's pause.
        KafkaError._NOENT,
    }
)


def admin_client(config: Mapping[str, Any]) -> AdminClient:
    """A client for questions about topics, with a consumer's configuration."""
    settings = {key: value for key, value in config.items() if not key.startswith(_CONSUMER_ONLY)}
    return AdminClient({**RECONNECT, **settings})


def kafka_away(error: KafkaError) -> bool:
    """Whether a Kafka error passes by itself: brokers that restart, a partition that changes its leader."""
    return not error.fatal() and error.code() in _KAFKA_AWAY
