"""The trigger behind the watched topics: it fires when a topic's end offsets moved.

It only looks. It consumes and commits nothing, so it can neither lose a message nor hide one from another consumer:
what there is to ingest is found out by the task that it wakes. It remembers nothing beyond its process: a trigger that
starts (again) fires for any topic that holds enough, so an event that was fired but not stored is fired again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from asgiref.sync import sync_to_async
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

CALL_SECONDS = 10.0
"""How long one question to the broker may take."""

MAX_WAIT_SECONDS = 30.0
"""The longest pause between two attempts while the broker is away."""


@dataclass(frozen=True, slots=True)
class TopicEnd:
    """Which topic a name stands for, and where its partitions end."""

    topic_id: str
    offsets: dict[int, int]


def moved(before: TopicEnd | None, now: TopicEnd, records: int) -> bool:
    """Whether ``now`` is news to one who wants to know of ``records`` more than ``before`` (None: nothing seen yet).

    A topic that was made anew is news even while it is empty: before it went, its records may have been brought to
    bronze without anyone being told.
    """
    if before is None:
        return sum(now.offsets.values()) >= records
    if before.topic_id != now.topic_id:
        return True
    steps = (abs(end - before.offsets.get(partition, 0)) for partition, end in now.offsets.items())
    return sum(steps) >= records


class KafkaEndOffsetsTrigger(BaseEventTrigger):
    """Fires when the end offsets of ``topic`` moved by ``records``, for as long as the triggerer runs it.

    The payload is ``{"topic": name, "topic_id": id, "offsets": {partition: end offset}}``. A topic that does not exist
    (yet) is waited for. A broker that does not answer is asked again, less and less often; this is logged when it
    begins and when it ends. What waiting cannot mend (no such connection, no permission) is raised.

    :param topic: name of the topic
    :param kafka_conn_id: the Kafka connection
    :param poll_seconds: pause between two looks
    :param records: so many offsets of all partitions together are worth an event
    """

    def __init__(
        self, topic: str, kafka_conn_id: str = "kafka_default", poll_seconds: float = 2.0, records: int = 1
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow did not type it
        self.topic = topic
        self.records = records
        self.kafka_conn_id = kafka_conn_id
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and the arguments to make this trigger again."""
        arguments = {
            "topic": self.topic,
            "kafka_conn_id": self.kafka_conn_id,
            "poll_seconds": self.poll_seconds,
            "records": self.records,
        }
        return "paylake_airflow.triggers.KafkaEndOffsetsTrigger", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, compare, fire; never returns."""
        # In the event loop's own helper thread, because Airflow answers only there who the connection is.
        admin = await sync_to_async(self._admin)()
        told: TopicEnd | None = None
        while True:
            now = await self._look(admin)
            if now is not None:
                fires = moved(told, now, self.records)
                if fires:
                    yield TriggerEvent(self._payload(now))  # type: ignore[no-untyped-call]
                if fires or told is None:
                    told = now
            await asyncio.sleep(self.poll_seconds)

    async def _look(self, admin: AdminClient) -> TopicEnd | None:
        """Where the topic ends, None when there is no such topic; returns when the broker answered."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(BrokerAwayError),
            wait=wait_exponential(multiplier=self.poll_seconds, max=MAX_WAIT_SECONDS),
            sleep=asyncio.sleep,
            before_sleep=self._tell_once,
        )
        # The client blocks: never in the event loop that all triggers share.
        end: TopicEnd | None = await retrying(partial(asyncio.to_thread, topic_end, admin, self.topic))
        if retrying.statistics["attempt_number"] > 1:
            self.log.info("Kafka answers again about topic %s", self.topic)
        return end

    def _tell_once(self, state: RetryCallState) -> None:
        if state.attempt_number == 1:
            error = state.outcome.exception() if state.outcome else None
            self.log.warning("Kafka does not answer about topic %s, trying again: %s", self.topic, error)

    def _admin(self) -> AdminClient:
        from paylake_airflow.hooks import kafka_admin

        return kafka_admin(self.kafka_conn_id)

    def _payload(self, end: TopicEnd) -> dict[str, Any]:
        offsets = {str(partition): offset for partition, offset in sorted(end.offsets.items())}
        return {"topic": self.topic, "topic_id": end.topic_id, "offsets": offsets}


class BrokerAwayError(ConnectionError):
    """The broker could not answer now but may later; the message says what it or the client said."""


def topic_end(admin: AdminClient, name: str) -> TopicEnd | None:
    """Ask the broker where topic ``name`` ends; None when it does not exist.

    Raises:
        BrokerAwayError: no answer, or one that says "not now".
        confluent_kafka.KafkaException: an answer that waiting does not change.
    """
    from confluent_kafka import KafkaException

    from include.kafka import topics
    from include.kafka.clients import kafka_away

    try:
        return TopicEnd(*topics.topic_end(admin, name, timeout=CALL_SECONDS))
    except topics.UnknownTopicError:
        return None
    except topics.TopicTimeoutError as error:
        raise BrokerAwayError(str(error)) from error
    except KafkaException as error:
        if kafka_away(error.args[0]):
            raise BrokerAwayError(str(error)) from error
        raise
