"""The topics: how each is set up, how one is made anew, and what a client may ask about one.

All functions take a ``confluent_kafka.admin.AdminClient`` and raise what the broker answers as
``confluent_kafka.KafkaException``, except where a more telling error is named.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition, Uuid
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the library forgot to list some of these
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
    TopicDescription,
)

from include.domains import DOMAINS
from include.kafka.bounds import MAX_BATCH_BYTES

T = TypeVar("T")

LABELS_TOPIC = "transaction_labels"
DEFAULT_TIMEOUT = 30.0
"""Seconds that one call may wait for the broker."""

_POLL_SECONDS = 0.1
_EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
_TIMED_OUT = frozenset({KafkaError._TIMED_OUT, KafkaError._TIMED_OUT_QUEUE, KafkaError.REQUEST_TIMED_OUT})
CHANGING = frozenset(
    {
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNKNOWN_TOPIC_ID,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._NOENT,
    }
)
"""Answers about a topic that is being made, deleted or led anew: the cluster has its name but cannot say more yet."""


class UnknownTopicError(LookupError):
    """A topic does not exist on the broker, or is none of Paylake's; the message names it."""


class TopicTimeoutError(TimeoutError):
    """The broker did not finish a change of a topic in time; the message says which and what was awaited."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How a topic is created. The replication factor is the broker's ``default.replication.factor``."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)

    def new_topic(self) -> NewTopic:
        """The request that creates the topic."""
        return NewTopic(self.name, num_partitions=self.partitions, replication_factor=-1, config=dict(self.config))


# Bronze is the archive, so Kafka keeps records by time alone: a compacted topic would refuse those without a key. The
# time is the broker's, because a producer's clock says nothing about when a record came: by a clock that runs behind,
# Kafka would delete a record before it was read, by one that runs ahead it would keep it for ever. And whatever the
# broker's own limit is, a batch has a size that our readers take.
_PROMISED = {
    "cleanup.policy": "delete",
    "message.timestamp.type": "LogAppendTime",
    "max.message.bytes": str(MAX_BATCH_BYTES),
}


def _spec(name: str, partitions: int, retention: timedelta) -> TopicSpec:
    return TopicSpec(name, partitions, {**_PROMISED, "retention.ms": str(retention // timedelta(milliseconds=1))})


TOPICS: dict[str, TopicSpec] = {
    **{one.topic: _spec(one.topic, one.partitions, one.retention) for one in DOMAINS.values()},
    LABELS_TOPIC: _spec(LABELS_TOPIC, 2, timedelta(days=7)),
}


def ensure_topics(admin: AdminClient, names: Iterable[str], timeout: float = DEFAULT_TIMEOUT) -> None:
    """Create those of Paylake's topics ``names`` that are missing and wait until each partition has a leader.

    An existing topic that is compacted, or keeps its producers' times, is changed; its other settings (how long it
    keeps records, for one) are left as they are. Several callers at once do no harm.

    Raises:
        UnknownTopicError: a name is not in ``TOPICS``.
        TopicTimeoutError: a topic is not ready after ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    for spec in _specs(names):
        if _describe(admin, spec.name, deadline) is None:
            _create(admin, spec, deadline)
        _await_leaders(admin, spec.name, deadline, replaced=None)
        _keep_promises(admin, spec, deadline)


def reset_topics(admin: AdminClient, names: Iterable[str], timeout: float = 60.0) -> dict[str, str]:
    """Delete Paylake's topics ``names``, create them anew, empty, and return the new topic ids by name.

    Kafka deletes in the background: this waits until the brokers no longer know the old topic and creates until a
    topic with *another id* is there. When a client that is producing right now creates the topic first, that one
    counts. All are deleted before the first is created.

    Raises:
        UnknownTopicError: a name is not in ``TOPICS``; nothing was deleted.
        TopicTimeoutError: not done after ``timeout`` seconds, with what was being awaited.
    """
    deadline = time.monotonic() + timeout
    specs = _specs(names)
    old_ids = {spec.name: topic_id(admin, spec.name) for spec in specs}
    for spec in specs:
        _delete(admin, spec.name, deadline)
    for spec in specs:
        _await_gone(admin, spec.name, old_ids[spec.name], deadline)
    new_ids = {}
    for spec in specs:
        _create(admin, spec, deadline, replaced=old_ids[spec.name])
        new_ids[spec.name] = _await_leaders(admin, spec.name, deadline, replaced=old_ids[spec.name])
    return new_ids


def topic_id(admin: AdminClient, name: str, timeout: float = DEFAULT_TIMEOUT) -> str | None:
    """The topic's id as Kafka prints it (22 characters of base64url), or None when there is no such topic."""
    description = _describe(admin, name, time.monotonic() + timeout)
    return None if description is None else kafka_id(description.topic_id)


def kafka_id(uuid: Uuid) -> str:
    """A Kafka id as Kafka itself prints it: base64url.

    ``str(uuid)`` is plain base64 instead, whose ``/`` would fall apart in an object's name.
    """
    return str(uuid).replace("+", "-").replace("/", "_")


def topic_end(admin: AdminClient, name: str, timeout: float = DEFAULT_TIMEOUT) -> tuple[str, dict[int, int]]:
    """The topic's id, and its `end_offsets`: two questions to the broker in place of the three of asking for each.

    Raises:
        UnknownTopicError: there is no such topic.
    """
    deadline = time.monotonic() + timeout
    description = _described(admin, name, deadline)
    return kafka_id(description.topic_id), _list_offsets(admin, description, _LATEST, deadline)


def end_offsets(admin: AdminClient, name: str, timeout: float = DEFAULT_TIMEOUT) -> dict[int, int]:
    """By partition, the offset after the last record that a ``read_committed`` consumer can read.

    Raises:
        UnknownTopicError: there is no such topic.
    """
    return _offsets(admin, name, _LATEST, timeout)


def written_offsets(admin: AdminClient, name: str, timeout: float = DEFAULT_TIMEOUT) -> dict[int, int]:
    """By partition, the offset after the last record that was written, also when nobody may read it yet.

    It is above ``end_offsets`` while a transaction is open.

    Raises:
        UnknownTopicError: there is no such topic.
    """
    return _offsets(admin, name, _LATEST, timeout, IsolationLevel.READ_UNCOMMITTED)


def start_offsets(admin: AdminClient, name: str, timeout: float = DEFAULT_TIMEOUT) -> dict[int, int]:
    """By partition, the offset of the first record that retention has left.

    Raises:
        UnknownTopicError: there is no such topic.
    """
    return _offsets(admin, name, _EARLIEST, timeout)


def _specs(names: Iterable[str]) -> list[TopicSpec]:
    wanted = list(dict.fromkeys(names))
    unknown = [name for name in wanted if name not in TOPICS]
    if unknown:
        raise UnknownTopicError(f"not a topic of Paylake: {', '.join(unknown)}; there are {', '.join(TOPICS)}")
    return [TOPICS[name] for name in wanted]


def _describe(admin: AdminClient, name: str, deadline: float) -> TopicDescription | None:
    awaited = f"the description of topic {name}"
    # Not list_topics: asking it for one topic may create that topic on a broker that creates topics by itself.
    answers = admin.describe_topics(TopicCollection([name]), request_timeout=_remaining(deadline, awaited))
    try:
        description: TopicDescription = _result(answers[name], awaited)
    except KafkaException as error:
        if _code(error) == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return None
        raise
    return description


def _described(admin: AdminClient, name: str, deadline: float) -> TopicDescription:
    description = _describe(admin, name, deadline)
    if description is None:
        raise UnknownTopicError(f"there is no topic {name}")
    return description


def _create(admin: AdminClient, spec: TopicSpec, deadline: float, replaced: str | None = None) -> None:
    """Create until it is there; a topic that another client created counts unless its id is ``replaced``."""
    awaited = f"topic {spec.name} to be created"

    def created() -> bool:
        answers = admin.create_topics([spec.new_topic()], request_timeout=_remaining(deadline, awaited))
        try:
            _result(answers[spec.name], awaited)
        except KafkaException as error:
            if _code(error) != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
            description = _describe(admin, spec.name, deadline)
            return description is not None and kafka_id(description.topic_id) != replaced
        return True

    _until(created, deadline, awaited)


def _keep_promises(admin: AdminClient, spec: TopicSpec, deadline: float) -> None:
    """Set what Paylake's promises rest on where the topic has it otherwise."""
    awaited = f"the settings of topic {spec.name}"
    topic = ConfigResource(ResourceType.TOPIC, spec.name)
    (answer,) = admin.describe_configs([topic], request_timeout=_remaining(deadline, awaited)).values()
    now: dict[str, ConfigEntry] = _result(answer, awaited)
    wrong = {
        name: spec.config[name] for name in _PROMISED if name in spec.config and now[name].value != spec.config[name]
    }
    if not wrong:
        return
    entries = [ConfigEntry(name, to, incremental_operation=AlterConfigOpType.SET) for name, to in wrong.items()]
    change = ConfigResource(ResourceType.TOPIC, spec.name, incremental_configs=entries)
    (changed,) = admin.incremental_alter_configs([change], request_timeout=_remaining(deadline, awaited)).values()
    _result(changed, awaited)


def _delete(admin: AdminClient, name: str, deadline: float) -> None:
    awaited = f"topic {name} to be deleted"
    answers = admin.delete_topics([name], request_timeout=_remaining(deadline, awaited))
    try:
        _result(answers[name], awaited)
    except KafkaException as error:
        if _code(error) != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise


def _await_gone(admin: AdminClient, name: str, old_id: str | None, deadline: float) -> None:
    def gone() -> bool:
        description = _describe(admin, name, deadline)
        return description is None or kafka_id(description.topic_id) != old_id

    if old_id is not None:
        _until(gone, deadline, f"topic {name} ({old_id}) to disappear")


def _await_leaders(admin: AdminClient, name: str, deadline: float, replaced: str | None) -> str:
    """Wait until each partition has a leader that answers, and return the topic's id."""
    found: list[str] = []

    def ready() -> bool:
        try:
            description = _describe(admin, name, deadline)
            if description is None or kafka_id(description.topic_id) == replaced:
                return False
            if any(partition.leader is None for partition in description.partitions):
                return False
            _list_offsets(admin, description, _LATEST, deadline)
        except KafkaException as error:
            if _code(error) in CHANGING:
                return False
            raise
        found.append(kafka_id(description.topic_id))
        return True

    _until(ready, deadline, f"the partitions of topic {name} to have leaders")
    return found[-1]


def _offsets(
    admin: AdminClient,
    name: str,
    spec: OffsetSpec,
    timeout: float,
    isolation: IsolationLevel = IsolationLevel.READ_COMMITTED,
) -> dict[int, int]:
    deadline = time.monotonic() + timeout
    return _list_offsets(admin, _described(admin, name, deadline), spec, deadline, isolation)


def _list_offsets(
    admin: AdminClient,
    topic: TopicDescription,
    spec: OffsetSpec,
    deadline: float,
    isolation: IsolationLevel = IsolationLevel.READ_COMMITTED,
) -> dict[int, int]:
    awaited = f"the offsets of topic {topic.name}"
    answers = admin.list_offsets(
        {TopicPartition(topic.name, partition.id): spec for partition in topic.partitions},
        isolation_level=isolation,
        request_timeout=_remaining(deadline, awaited),
    )
    return {asked.partition: _result(answer, awaited).offset for asked, answer in sorted(answers.items())}


def _until(condition: Callable[[], bool], deadline: float, awaited: str) -> None:
    try:
        while not condition():
            _remaining(deadline, awaited)
            time.sleep(_POLL_SECONDS)
    except TopicTimeoutError as error:  # the time may also end inside one of the condition's requests
        raise TopicTimeoutError(f"gave up waiting for {awaited}") from error


def _remaining(deadline: float, awaited: str) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TopicTimeoutError(f"gave up waiting for {awaited}")
    return seconds


def _result(answer: Future[T], awaited: str) -> T:
    """The broker's answer; the library itself keeps the time limit, which is given with each request."""
    try:
        return answer.result()
    except KafkaException as error:
        if _code(error) in _TIMED_OUT:
            raise TopicTimeoutError(f"Kafka did not answer while waiting for {awaited}") from error
        raise


def _code(error: KafkaException) -> int:
    code: int = error.args[0].code()
    return code
