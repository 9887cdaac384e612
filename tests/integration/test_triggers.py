"""The trigger that watches end offsets, on a real broker."""

from __future__ import annotations

import asyncio
import importlib
import json
import socket
import threading
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from airflow.triggers.base import TriggerEvent
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # the library forgot to list one

from include.settings import Settings
from paylake_airflow.triggers import KafkaEndOffsetsTrigger

pytestmark = pytest.mark.integration

POLL = 0.2
QUIET = 1.5
"""Seconds without an event that count as silence: several looks."""

Events = AsyncIterator[TriggerEvent]


class Topic:
    """A topic of the test's own."""

    def __init__(self, servers: str) -> None:
        self.servers = servers
        self.admin = AdminClient({"bootstrap.servers": servers})
        self.name = f"test-{uuid.uuid4()}"

    def create(self) -> None:
        # A name that was just deleted is refused until the broker has done away with it.
        for _ in range(100):
            try:
                self.admin.create_topics([NewTopic(self.name, 2, 1)])[self.name].result(30)
            except KafkaException as error:
                if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
                    raise
            else:
                return
        raise TimeoutError(f"{self.name} was not created")

    def delete(self) -> None:
        self.admin.delete_topics([self.name])[self.name].result(30)

    def produce(self, partition: int = 0) -> None:
        producer = Producer({"bootstrap.servers": self.servers})
        producer.produce(self.name, value=b"{}", partition=partition)
        assert producer.flush(30) == 0


@pytest.fixture
def topic(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Topic]:
    connect(monkeypatch, settings.kafka_bootstrap_servers)
    topic = Topic(settings.kafka_bootstrap_servers)
    yield topic
    if topic.name in topic.admin.list_topics(timeout=30).topics:
        topic.delete()


def connect(monkeypatch: pytest.MonkeyPatch, servers: str) -> None:
    connection = {"conn_type": "kafka", "extra": {"bootstrap.servers": servers}}
    monkeypatch.setenv("AIRFLOW_CONN_KAFKA_DEFAULT", json.dumps(connection))


def watching(topic: Topic, story: Callable[[Events], Coroutine[Any, Any, None]], records: int = 1) -> None:
    """Run a story with the events of a trigger that watches the topic."""

    async def scene() -> None:
        events = KafkaEndOffsetsTrigger(topic=topic.name, poll_seconds=POLL, records=records).run()
        assert isinstance(events, AsyncGenerator)
        try:
            await story(events)
        finally:
            await events.aclose()

    asyncio.run(asyncio.wait_for(scene(), 120))


async def next_payload(events: Events) -> dict[str, Any]:
    event = await asyncio.wait_for(anext(events), 30)
    payload: dict[str, Any] = event.payload
    assert json.loads(json.dumps(payload)) == payload, "Airflow stores it as JSON"
    return payload


async def silent_until(events: Events, cause: Callable[[], Awaitable[Any]]) -> dict[str, Any]:
    """Nothing fires until ``cause`` has happened; then something does."""
    pending = asyncio.ensure_future(next_payload(events))
    done, _ = await asyncio.wait({pending}, timeout=QUIET)
    assert not done, f"fired without a cause: {done}"
    await cause()
    return await pending


def does(call: Callable[[], Any]) -> Callable[[], Awaitable[Any]]:
    return lambda: asyncio.to_thread(call)


def test_fires_when_so_many_came_to_all_partitions_together_since_it_last_did(topic: Topic) -> None:
    topic.create()
    for _ in range(3):
        topic.produce()

    async def story(events: Events) -> None:
        first = await next_payload(events)
        assert first["offsets"] == {"0": 3, "1": 0}
        for partition in (0, 1):
            await asyncio.to_thread(topic.produce, partition)
        third = await silent_until(events, does(topic.produce))
        assert third["offsets"] == {"0": 5, "1": 1}

    watching(topic, story, records=3)


def test_fires_for_what_is_there_and_then_only_when_the_end_moves(topic: Topic) -> None:
    topic.create()
    topic.produce()

    async def story(events: Events) -> None:
        first = await next_payload(events)
        assert first["topic"] == topic.name
        assert first["offsets"] == {"0": 1, "1": 0}
        second = await silent_until(events, does(lambda: topic.produce(partition=1)))
        assert second == first | {"offsets": {"0": 1, "1": 1}}

    watching(topic, story)


def test_an_empty_topic_is_no_news_until_something_is_produced(topic: Topic) -> None:
    topic.create()

    async def story(events: Events) -> None:
        payload = await silent_until(events, does(topic.produce))
        assert payload["offsets"] == {"0": 1, "1": 0}

    watching(topic, story)


def test_a_topic_that_does_not_exist_is_waited_for(topic: Topic) -> None:
    def appears() -> None:
        topic.create()
        topic.produce()

    async def story(events: Events) -> None:
        await silent_until(events, does(appears))

    watching(topic, story)


def test_a_topic_made_anew_is_news_even_when_empty(topic: Topic) -> None:
    topic.create()
    topic.produce()

    def made_anew() -> None:
        topic.delete()
        topic.create()

    async def story(events: Events) -> None:
        old = await next_payload(events)
        new = await silent_until(events, does(made_anew))
        assert new["topic_id"] != old["topic_id"]
        assert new["offsets"] == {"0": 0, "1": 0}

    watching(topic, story)


def test_each_start_tells_again_because_an_event_may_not_have_been_stored(topic: Topic) -> None:
    topic.create()
    topic.produce()
    told = []

    async def story(events: Events) -> None:
        told.append(await next_payload(events))

    watching(topic, story)
    watching(topic, story)
    assert told[0] == told[1]


def test_it_joins_no_group_and_commits_nothing(topic: Topic) -> None:
    topic.create()
    topic.produce()

    def groups() -> set[str]:
        return {group.group_id for group in topic.admin.list_consumer_groups().result(30).valid}

    async def story(events: Events) -> None:
        await next_payload(events)

    before = groups()
    watching(topic, story)
    # The broker may forget an empty one meanwhile.
    assert groups() <= before


def test_a_broker_that_is_away_is_waited_for_and_mentioned_once(
    topic: Topic, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    topic.create()
    topic.produce()
    host, port = topic.servers.split(",")[0].rsplit(":", 1)

    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        door = reserved.getsockname()[1]
    connect(monkeypatch, f"127.0.0.1:{door}")
    monkeypatch.setattr("paylake_airflow.triggers.CALL_SECONDS", 0.5)

    async def story(events: Events) -> None:
        pending = asyncio.ensure_future(next_payload(events))
        done, _ = await asyncio.wait({pending}, timeout=5)
        assert not done
        with forwarding(door, host, int(port)):
            assert (await pending)["offsets"] == {"0": 1, "1": 0}

    watching(topic, story)
    said = [line for line in "".join(capfd.readouterr()).splitlines() if topic.name in line]
    assert len(said) == 2, said
    assert "does not answer" in said[0]
    assert "answers again" in said[1]


@contextmanager
def forwarding(port: int, host: str, to_port: int) -> Iterator[None]:
    """A door to the broker on ``port``, open for the length of the block."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            return  # the other side is gone, and so is this one
        finally:
            sink.close()

    def serve(door: socket.socket) -> None:
        while True:
            try:
                visitor, _ = door.accept()
            except OSError:
                return  # closed by the block's end
            broker = socket.create_connection((host, to_port))
            for pair in ((visitor, broker), (broker, visitor)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    with socket.create_server(("127.0.0.1", port)) as door:
        threading.Thread(target=serve, args=(door,), daemon=True).start()
        yield


def test_a_connection_without_servers_is_an_error_at_once(topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_KAFKA_DEFAULT", json.dumps({"conn_type": "kafka", "extra": {}}))

    async def story(events: Events) -> None:
        await anext(events)

    with pytest.raises(ValueError, match=r"bootstrap\.servers"):
        watching(topic, story)


def test_it_survives_being_stored_and_made_again(topic: Topic) -> None:
    """Airflow keeps class path and arguments, and takes equal hashes for the same trigger."""
    trigger = KafkaEndOffsetsTrigger(topic=topic.name)
    path, arguments = trigger.serialize()
    module, name = path.rsplit(".", 1)
    again = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(arguments)))
    assert again.serialize() == trigger.serialize()
    assert trigger.hash(path, arguments) == again.hash(*again.serialize())
