"""Kafka clients that are not ours, each used as its users do, and what they send."""

from __future__ import annotations

import json
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeAlias
from unittest.mock import patch

from confluent_kafka import KafkaError, KafkaException, Producer
from kafka import KafkaProducer
from kafka.errors import KafkaConnectionError
from kafka.net.connection import KafkaConnection
from kafka.protocol.producer import ProduceRequest

from include.local.layout import locate
from include.local.setup.jars import ensure_jars
from include.local.setup.java import find_java
from include.stack.steps import Runner, Step

SECONDS = 60
"""How long a client may take for what is done in a moment."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a client is told to send. ``identity`` is the record's id; a timestamp of None is the client's own clock."""

    topic: str
    identity: str
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_ms: int | None = None
    partition: int | None = None


Send: TypeAlias = Callable[[str, Sequence[Message]], None]
"""Sends messages to the broker of an address. Raises unless Kafka took every one, where the client can tell."""
Dress: TypeAlias = Callable[[Message], Message]
"""Gives a message what its producer adds to a value: a key, headers, a time."""


def confluent(compression: str = "none", *, transactional: bool = False, **config: object) -> Send:
    """confluent-kafka, that is librdkafka, which most languages have a binding of."""

    def send(servers: str, messages: Sequence[Message]) -> None:
        settings: dict[str, Any] = {"bootstrap.servers": servers, "compression.type": compression}
        settings |= {key.replace("_", "."): value for key, value in config.items()}
        if transactional:
            with transaction(settings) as producer:
                _produce(producer, messages)
                producer.commit_transaction(SECONDS)
        else:
            _produce(Producer(settings), messages)

    return send


@contextmanager
def transaction(settings: Mapping[str, Any]) -> Iterator[Producer]:
    """A producer of confluent-kafka with a transaction that was begun; the block ends it, or it fails."""
    producer = Producer({**settings, "transactional.id": uuid.uuid4().hex})
    producer.init_transactions(SECONDS)
    producer.begin_transaction()
    try:
        yield producer
    except BaseException:
        producer.abort_transaction(SECONDS)  # or all that others send would wait behind it
        raise


def confluent_aborting(servers: str, messages: Sequence[Message]) -> None:
    """All messages reach Kafka, and then their producer takes them back."""
    with transaction({"bootstrap.servers": servers}) as producer:
        _produce(producer, messages)
        producer.abort_transaction(SECONDS)


def _produce(producer: Producer, messages: Sequence[Message]) -> None:
    for message in messages:
        place: dict[str, Any] = {} if message.partition is None else {"partition": message.partition}
        time: dict[str, Any] = {} if message.timestamp_ms is None else {"timestamp": message.timestamp_ms}
        producer.produce(
            message.topic,
            message.value,
            key=message.key,
            headers=list(message.headers),
            on_delivery=_raise,
            **place,
            **time,
        )
    assert producer.flush(SECONDS) == 0


def _raise(error: KafkaError | None, _: object) -> None:
    if error is not None:
        raise KafkaException(error)


def kafka_python(**config: object) -> Send:
    """kafka-python, whose defaults nobody changes."""

    def send(servers: str, messages: Sequence[Message]) -> None:
        producer = KafkaProducer(bootstrap_servers=servers, **config)
        try:
            _send_each(producer, messages)
        finally:
            producer.close(SECONDS)

    return send


def kafka_python_transactional(servers: str, messages: Sequence[Message]) -> None:
    """All messages in one transaction, over all topics."""
    producer = KafkaProducer(bootstrap_servers=servers, transactional_id=uuid.uuid4().hex)
    try:
        producer.init_transactions()
        producer.begin_transaction()
        try:
            _send_each(producer, messages)
        except BaseException:
            producer.abort_transaction()
            raise
        producer.commit_transaction()
    finally:
        producer.close(SECONDS)


def _send_each(producer: KafkaProducer, messages: Sequence[Message]) -> None:
    sent = []
    for message in messages:
        # Only what is given, so that a message without is sent as the README of the library does it.
        parts = {
            "key": message.key,
            "headers": list(message.headers) or None,
            "timestamp_ms": message.timestamp_ms,
            "partition": message.partition,
        }
        given = {name: part for name, part in parts.items() if part is not None}
        sent.append(producer.send(message.topic, value=message.value, **given))
        if message.timestamp_ms is not None:
            # A batch holds times as differences, and that of two wild ones may need more than 64 bits.
            sent[-1].get(SECONDS)
    for future in sent:
        future.get(SECONDS)


@contextmanager
def first_acknowledgement_lost() -> Iterator[None]:
    """kafka-python's connection breaks as the answer to its first records arrives: they are in Kafka, it thinks."""
    awaited: list[KafkaConnection] = []
    lost = threading.Event()
    original_send, original_receive = KafkaConnection._send_request, KafkaConnection.data_received

    def send(connection: KafkaConnection, request: object, *arguments: Any, **options: Any) -> object:
        if isinstance(request, ProduceRequest):
            awaited.append(connection)
        return original_send(connection, request, *arguments, **options)

    def receive(connection: KafkaConnection, data: bytes) -> None:
        if connection in awaited and not lost.is_set():
            lost.set()
            connection.close(KafkaConnectionError("cut by the test"))
            return
        original_receive(connection, data)

    with patch.object(KafkaConnection, "_send_request", send), patch.object(KafkaConnection, "data_received", receive):
        yield
    assert lost.is_set()


class NotUtf8(str):
    """The name of a header as a client writes it that takes names for bytes."""

    def encode(self, *_: Any) -> bytes:
        return super().encode("latin-1")


CONSOLE_NULL = "NULL"


def console_producer(*options: str, keys_and_headers: bool = False) -> Send:
    """The Java client in the form that comes with Kafka: one process for each topic, one line of input for each record.

    It ends with 0 also when Kafka refused a record; that must be seen from what arrived.
    """
    reader = ("parse.key=true", "parse.headers=true", f"null.marker={CONSOLE_NULL}") if keys_and_headers else ()

    def line(message: Message) -> bytes:
        value = CONSOLE_NULL.encode() if message.value is None else message.value
        if not keys_and_headers:
            return value
        headers = ",".join(f"{name}:{(it or b'').decode()}" for name, it in message.headers) or CONSOLE_NULL
        return b"\t".join([headers.encode(), CONSOLE_NULL.encode() if message.key is None else message.key, value])

    def send(servers: str, messages: Sequence[Message]) -> None:
        by_topic: dict[str, list[bytes]] = {}
        for message in messages:
            by_topic.setdefault(message.topic, []).append(line(message))
        more = [argument for name in reader for argument in ("--reader-property", name)]
        running = []
        for topic, lines in by_topic.items():
            arguments = ["--bootstrap-server", servers, "--topic", topic, *more, *options]
            process = subprocess.Popen(
                [*_java(), "org.apache.kafka.tools.ConsoleProducer", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            running.append((process, b"".join(one + b"\n" for one in lines)))
        for process, text in running:
            output, _ = process.communicate(text, timeout=SECONDS)
            assert process.returncode == 0, output.decode()

    return send


@cache
def _java() -> tuple[str, ...]:
    """A Java with Kafka's own tools; those are not among the broker's jars."""
    stack, java = locate(), find_java()
    folders: list[str] = []

    def fetch(name: str) -> Step:
        return Step(name, name, lambda task: folders.append(f"{ensure_jars(stack, name, java, task)}/*"))

    Runner([fetch("kafka"), fetch("kafka-tools")]).run()
    return (str(java.program), "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", ":".join(folders))


def undressed(message: Message) -> Message:
    """A value and nothing else, as most generators of data send it."""
    return message


def keyed(message: Message) -> Message:
    """The record's id as its key."""
    return replace(message, key=message.identity.encode())


def with_key(key: bytes) -> Dress:
    """A key that is not the record's id."""
    return lambda message: replace(message, key=key)


def with_headers(*headers: tuple[str, bytes | None], key: bytes | None = None) -> Dress:
    """Headers, and perhaps a key that is not the record's id."""
    return lambda message: replace(message, headers=headers, key=key)


def at(timestamp_ms: int) -> Dress:
    """A time that the client sets."""
    return lambda message: replace(message, timestamp_ms=timestamp_ms, key=message.identity.encode())


def filled_up(length: int, dress: Dress = undressed) -> Dress:
    """A value of ``length`` bytes, by a field that no contract knows; only the first record of each kind."""

    def dressed(message: Message) -> Message:
        if not message.identity.endswith("00"):
            return dress(message)
        body = json.loads(message.value or b"")
        empty = len(json.dumps(body | {"memo": ""}))
        return dress(replace(message, value=json.dumps(body | {"memo": "m" * (length - empty)}).encode()))

    return dressed
