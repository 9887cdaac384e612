"""The writer's parts that need no server."""

from __future__ import annotations

from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka.admin import AdminClient

from include.ingest.buffer import PartitionBuffer
from include.ingest.errors import KafkaUnavailableError, S3UnavailableError, StoreFullError
from include.ingest.limits import Limits
from include.ingest.patience import Patience, StoppedError
from include.ingest.sink import due, full
from include.ingest.source import TopicSource, consumer_settings
from include.lake.bronze_log import BronzeLog
from include.lake.incoming import IncomingRecords
from include.lake.records import IncomingRecord


def record(offset: int, value: bytes = b"{}") -> IncomingRecord:
    return IncomingRecord(offset, 0, None, value)


def client_error(status: int) -> ClientError:
    return ClientError({"Error": {"Code": "x"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")  # type: ignore[typeddict-item]


def test_a_buffer_takes_each_offset_once_and_knows_the_gaps() -> None:
    buffer = PartitionBuffer(position=5, reached=5)
    for offset in (4, 5, 8, 8, 6):
        buffer.append(record(offset), now=1.0)
    buffer.reach(11, now=2.0)
    (encoded,) = buffer.objects("t", frozenset(), 0)
    assert (encoded.start, encoded.end, encoded.count) == (5, 11, 2)
    assert buffer.since == 1.0


def test_a_buffer_forgets_what_another_writer_has_written() -> None:
    buffer = PartitionBuffer(position=0, reached=0)
    for offset in range(6):
        buffer.append(record(offset), now=1.0)
    buffer.advance(4)
    assert buffer.records.offsets == [4, 5]
    assert buffer.size == 4
    assert buffer.pending
    buffer.advance(9)
    assert (buffer.position, buffer.reached, len(buffer.records), buffer.pending) == (9, 9, 0, False)
    assert buffer.since is None


def test_when_a_buffer_is_due() -> None:
    limits = Limits(flush_records=3, flush_bytes=100, flush_seconds=1.0, gap_seconds=10.0)
    empty, young, many, large, old, gap = (PartitionBuffer(0, 0) for _ in range(6))
    young.append(record(0), now=9.5)
    for offset in range(3):
        many.append(record(offset), now=9.5)
    large.append(record(0, b"x" * 100), now=9.5)
    old.append(record(0), now=9.0)
    gap.reach(1, now=9.0)
    buffers = list(enumerate((empty, young, many, large, old, gap)))
    assert due(buffers, limits, now=10.0) == [2, 3, 4]
    assert due(buffers, limits, now=19.0) == [1, 2, 3, 4, 5]
    assert full(buffers, limits) == [2, 3]


def test_many_records_wait_less_long_than_few() -> None:
    limits = Limits(flush_seconds=1.0, flush_soonest_seconds=0.25, flush_record_seconds=10.0)

    def waits(per_second: int) -> float:
        """For how many seconds a record waits, of so many that come at equal distances."""
        buffer = PartitionBuffer(0, 0)
        for offset in range(per_second * 2):
            buffer.append(record(offset), now=offset / per_second)
            if due([(0, buffer)], limits, now=offset / per_second):
                return offset / per_second
        raise AssertionError("they are never due")

    assert [waits(2), waits(10), waits(40), waits(160), waits(5_000)] == pytest.approx(
        [1, 1, 0.5, 0.25, 0.25], abs=0.03
    )


def test_all_buffers_with_records_are_due_when_together_they_take_too_much_memory() -> None:
    limits = Limits(flush_bytes=1000, flush_seconds=60.0, buffer_bytes=2000)
    buffers = [(number, PartitionBuffer(0, 0)) for number in range(4)]
    for number, buffer in buffers[1:3]:
        buffer.append(record(0, b"x" * 400 * number), now=0.0)
    buffers[3][1].reach(1, now=0.0)
    assert (due(buffers, limits, now=1.0), full(buffers, limits)) == ([], [])
    buffers[1][1].append(record(1, b"x" * 500), now=0.0)
    assert (due(buffers, limits, now=1.0), full(buffers, limits)) == ([1, 2], [1, 2])


class ScriptedConsumer:
    """Delivers messages, at most so many at a time."""

    def __init__(self, messages: list[Message], most: int) -> None:
        self._left = messages
        self._most = most

    def consume(self, number: int, _timeout: float) -> list[Message]:
        count = min(number, self._most)
        taken, self._left = self._left[:count], self._left[count:]
        return taken


def buffers_after(messages: list[Message], most: int) -> dict[int, PartitionBuffer]:
    source = TopicSource(
        topic="t",
        topic_id="id",
        consumer=cast(Consumer, ScriptedConsumer(messages, most)),
        consumer_config={},
        admin=cast(AdminClient, None),
        bronze=cast(BronzeLog, None),
        patience=Patience(0.0, lambda: False),
        limits=Limits(),
        over_gaps=False,
    )
    source.buffers = {partition: PartitionBuffer(5, 5, since=0.0) for partition in (0, 1)}
    for _ in messages:
        source.poll()
    return source.buffers


def message(partition: int, offset: int, **parts: Any) -> Message:
    return Message(
        **{"topic": "t", "partition": partition, "offset": offset, "timestamp": (1, 1_000 + offset), **parts}
    )


def test_messages_are_taken_alike_one_by_one_and_many_at_once() -> None:
    end = KafkaError(KafkaError._PARTITION_EOF)
    messages = [
        *(message(0, offset, key=b"k", value=b"{}") for offset in (3, 4, 5, 6, 9)),
        *(message(1, offset, value=None) for offset in (5, 6)),
        message(0, 10, value=b"{}", headers=[("a", b"b"), ("a", None)], timestamp=(2, 7)),
        message(0, 14, error=end),
        *(message(1, offset, value=b"again") for offset in (6, 7, 7, 8)),
        message(2, 0, value=b"of a partition that was not looked at yet"),
        message(1, 9, error=end),
    ]
    at_once, one_by_one = buffers_after(messages, 500), buffers_after(messages, 1)
    assert at_once == one_by_one
    assert at_once[0].records == IncomingRecords(
        [5, 6, 9, 10],
        [1005, 1006, 1009, 7],
        [b"k", b"k", b"k", None],
        [b"{}"] * 4,
        [(), (), (), (("a", b"b"), ("a", None))],
        [False, False, False, True],
    )
    assert (at_once[0].reached, at_once[1].records.offsets, at_once[1].reached) == (14, [5, 6, 7, 8], 9)


def test_the_callers_configuration_cannot_weaken_the_promise() -> None:
    given = {"enable.auto.commit": True, "auto.offset.reset": "latest", "group.id": "mine", "client.id": "c"}
    settings = consumer_settings(given, "theirs", Limits())
    assert settings["enable.auto.commit"] is False
    assert settings["auto.offset.reset"] == "error"
    assert (settings["group.id"], settings["client.id"]) == ("mine", "c")


@pytest.mark.parametrize("error", [client_error(409), client_error(503), EndpointConnectionError(endpoint_url="x")])
def test_s3_that_is_away_is_outlasted(error: Exception) -> None:
    answers = iter([error, None])

    def action() -> str:
        if (answer := next(answers)) is not None:
            raise answer
        return "written"

    assert Patience(5.0, lambda: False).with_s3(action) == "written"
    with pytest.raises(S3UnavailableError):
        Patience(0.0, lambda: False).with_s3(lambda: fail(error))
    with pytest.raises(StoppedError):
        Patience(5.0, lambda: True).with_s3(lambda: fail(error))


@pytest.mark.parametrize("error", [client_error(403), client_error(404), NoCredentialsError()])
def test_what_does_not_pass_is_raised_at_once(error: Exception) -> None:
    with pytest.raises(type(error)):
        Patience(60.0, lambda: False).with_s3(lambda: fail(error))


def test_a_full_store_is_named_as_one() -> None:
    with pytest.raises(StoreFullError, match="the object store is full"):
        Patience(60.0, lambda: False).with_s3(lambda: fail(client_error(507)))


def test_kafka_that_is_away_is_outlasted_and_a_refusal_is_not() -> None:
    with pytest.raises(KafkaUnavailableError):
        Patience(0.0, lambda: False).with_kafka(lambda: fail(KafkaException(KafkaError(KafkaError._TRANSPORT))))
    refused = KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    with pytest.raises(KafkaException):
        Patience(60.0, lambda: False).with_kafka(lambda: fail(refused))


def fail(error: Exception) -> None:
    raise error
