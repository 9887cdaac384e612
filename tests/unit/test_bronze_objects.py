"""Objects, lines and positions: what is encoded comes back, whatever the records are."""

from __future__ import annotations

import base64
import json
import random
import time
import zlib
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.lake.incoming import IncomingRecords
from include.lake.objects import (
    COUNT_KEY,
    END_KEY,
    INDEX_KEY,
    MAX_OBJECT_BYTES,
    TAKEN_KEY,
    CorruptObjectError,
    EncodedObject,
    body_lines,
    decode_index,
    decode_values,
    encode,
    object_key,
    place_of_key,
    start_of_key,
)
from include.lake.positions import InvalidPositionsError, positions_from_json, positions_to_json
from include.lake.records import (
    Headers,
    IncomingRecord,
    Original,
    decode_line,
    decode_original,
    encode_line,
    envelope_reason,
    is_plain,
)

KEY_FIELDS = frozenset({"txn_id", "user_id"})
NOW_MS = 1_790_000_000_000
WRITTEN = datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
VALUES = (
    st.none()
    | st.binary(max_size=60)
    | JSON_VALUES.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(st.text(), JSON_VALUES).map(
        lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    )
)

HEADERS = st.lists(st.tuples(st.text(max_size=3), st.none() | st.binary(max_size=3)), max_size=2).map(tuple)


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[IncomingRecord], int, int]:
    """Records, start and end, with gaps anywhere and timestamps in any order."""
    start = draw(st.integers(0, 2**62))
    at = start
    records = []
    keys = st.none() | st.binary(max_size=5)
    timestamps = st.integers(-1, 2**45) | st.integers(-(2**63), 2**63 - 1)
    for skipped, timestamp, appended, key, value, headers in draw(
        st.lists(
            st.tuples(st.integers(0, 2**20), timestamps, st.booleans(), keys, VALUES, HEADERS),
            max_size=40,
        )
    ):
        at += skipped
        records.append(IncomingRecord(at, timestamp, key, value, headers, appended))
        at += 1
    return records, start, max(at + draw(st.integers(0, 5)), start + 1)


def objects_of(records: list[IncomingRecord], start: int, end: int) -> list[EncodedObject]:
    incoming = IncomingRecords.of(records)
    return list(encode(incoming, topic="t", key_fields=KEY_FIELDS, partition=3, start=start, end=end, now_ms=NOW_MS))


def records_of(encoded: EncodedObject) -> list[tuple[int, int, int, bytes | None]]:
    """Offset, timestamp, when it came, and value of each record."""
    key = object_key("folder", "id", 3, encoded.start)
    index = decode_index(key, encoded.metadata, WRITTEN)
    values = decode_values(key, body_lines(key, encoded.body, len(index.offsets)))
    return list(zip(index.offsets, index.timestamps_ms, index.taken_ms, values, strict=True))


@given(batches())
def test_what_is_encoded_comes_back(batch: tuple[list[IncomingRecord], int, int]) -> None:
    records, start, end = batch
    objects = objects_of(records, start, end)
    assert [objects[0].start, *(encoded.end for encoded in objects)] == [
        *(encoded.start for encoded in objects),
        end,
    ]
    assert [record for encoded in objects for record in records_of(encoded)] == [
        (record.offset, record.timestamp_ms, record.timestamp_ms if record.appended else NOW_MS, record.value)
        for record in records
    ]


PLAIN = b'{"txn_id": "T1", "user_id": "U1", "amount": 14.7, "more": {"a": [1, true, null]}, "channel": "ATM"}'
PIECES = st.binary(max_size=4) | st.sampled_from(
    [
        *(b"\n", b"\r", b"\x00", b"\x0c", b"\xc2\xa0", b"\xed\xa0\x80", b"\xef\xbb\xbf"),
        *(b"9" * 5000, b"[" * 300, b"]" * 300, b'"user_id": "U2", ', b'"txn_id": 5, ', b'{"_paylake_envelope": '),
        *rb"""\ud800 \u0000 \/ \' // NaN -Infinity 1e400 -0 01 1. .5 +1 0x1 1e , {} " ' }{ ] "T1" null""".split(),
    ]
)


@st.composite
def nearly_plain(draw: st.DrawFn) -> bytes:
    """The text of an ordinary record, with other pieces put in or in place of some of its bytes."""
    value = PLAIN
    for piece in draw(st.lists(PIECES, max_size=3)):
        first = draw(st.integers(0, len(value)))
        value = value[:first] + piece + value[first + draw(st.integers(0, 8)) :]
    return value


@settings(max_examples=2_000)
@given(VALUES | nearly_plain(), st.none() | st.sampled_from([b"T1", b"U1", b"U2", b"5", b"\xff"]), HEADERS | st.none())
def test_the_fast_way_to_a_line_makes_the_same_line(
    value: bytes | None, key: bytes | None, headers: Headers | None
) -> None:
    record = IncomingRecord(7, 8, key, value, headers)
    assert IncomingRecords.of([record]).lines("t", 3, KEY_FIELDS) == [encode_line(record, "t", 3, KEY_FIELDS)]


def test_ordinary_records_take_the_fast_way() -> None:
    assert is_plain(PLAIN, b"U1", (), KEY_FIELDS)
    assert is_plain(PLAIN, None, (), KEY_FIELDS)


@given(VALUES)
def test_a_line_is_one_line_of_one_json_object(value: bytes | None) -> None:
    line = encode_line(IncomingRecord(7, 8, b"k", value), "t", 3, KEY_FIELDS)
    assert b"\n" not in line
    assert b"\r" not in line
    assert isinstance(json.loads(line), dict)
    assert decode_line(line) == value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b'{"a": 1}', None),
        (b'  {"a": 1e400, "b": 1234567890123456789012345678901234567890} ', None),
        (b'{"a": 1, "a": 2}', None),
        (b'{"a": %s}' % (b"9" * 10_000), None),
        (None, "null_value"),
        (b"", "empty"),
        (b'{\n "a": 1\n}', "line_break"),
        (b'{"a": 1}\r', "line_break"),
        (b'{"a": "\xff"}', "not_utf8"),
        (b"\xef\xbb\xbf{}", "not_json"),
        (b'{"a": NaN}', "not_json"),
        (b'{"a": 1}{"b": 2}', "not_json"),
        (b"hello", "not_json"),
        (b"[1]", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "too_deep"),
        (b'{"_paylake_envelope":{"value_base64":null}}', "looks_like_envelope"),
    ],
)
def test_why_a_value_gets_an_envelope(value: bytes | None, reason: str | None) -> None:
    record = IncomingRecord(0, 0, None, value)
    assert envelope_reason(record, KEY_FIELDS) == reason
    assert decode_line(encode_line(record, "t", 0, KEY_FIELDS)) == value


@pytest.mark.parametrize(
    ("key", "headers", "reason"),
    [
        (None, (), None),
        (b"T1", (), None),
        (b"U1", (), None),
        ("Ü".encode(), (), "key"),
        (b"", (), "key"),
        (b"M1", (), "key"),
        (b"5", (), "key"),
        (b"\xff", (), "key"),
        (b"T1", (("trace", b"\x00\xff"), ("trace", None), ("", b"")), "headers"),
        (b"other", (("källa", b"x"),), "headers"),
        (None, None, "headers"),
    ],
)
def test_what_the_value_does_not_say_is_kept(key: bytes | None, headers: Headers | None, reason: str | None) -> None:
    value = b'{"txn_id": "T1", "user_id": "U1", "merchant_id": "M1", "amount": 5}'
    record = IncomingRecord(0, 0, key, value, headers)
    assert envelope_reason(record, KEY_FIELDS) == reason
    line = encode_line(record, "t", 0, KEY_FIELDS)
    assert decode_line(line) == value
    assert decode_original(line) == (Original(key, headers, value) if reason else Original(None, (), value))


def test_an_envelope_of_before_headers_were_kept_can_be_opened() -> None:
    line = b'{"_paylake_envelope":{"reason":"empty","value_base64":"","key_base64":null,"topic":"t"}}'
    assert decode_original(line) == Original(None, (), b"")


def test_an_envelope_says_where_the_record_came_from() -> None:
    record = IncomingRecord(41, 1_700_000_000_000, b"key", b"\xff", (("a", b"b"), ("c", None)))
    line = encode_line(record, "transactions", 2, KEY_FIELDS)
    assert json.loads(line) == {
        "_paylake_envelope": {
            "reason": "not_utf8",
            "value_base64": "/w==",
            "key_base64": "a2V5",
            "headers": [{"name": "a", "value_base64": "Yg=="}, {"name": "c", "value_base64": None}],
            "topic": "transactions",
            "partition": 2,
            "offset": 41,
            "timestamp": 1_700_000_000_000,
        }
    }


def test_an_index_that_does_not_fit_makes_more_objects() -> None:
    # Timestamps without any order cannot be compressed.
    chance = random.Random(1)  # noqa: S311  # no secret
    records = [IncomingRecord(n, chance.randrange(2**40), None, b"{}") for n in range(5_000)]
    objects = objects_of(records, 0, 5_000)
    assert len(objects) > 1
    assert all(sum(len(k) + len(v) for k, v in encoded.metadata.items()) <= 2048 for encoded in objects)
    assert [r[1] for encoded in objects for r in records_of(encoded)] == [r.timestamp_ms for r in records]


def test_ordinary_records_fit_in_one_object() -> None:
    records = [IncomingRecord(n, 1_700_000_000_000 + n * 3 + n % 2, None, b"{}") for n in range(5_000)]
    assert len(objects_of(records, 0, 5_000)) == 1


def test_an_object_holds_no_more_bytes_than_a_reader_can_hold() -> None:
    sizes = [MAX_OBJECT_BYTES // 3] * 7 + [MAX_OBJECT_BYTES + 1, 10, 10]
    records = [IncomingRecord(n, 0, None, b"{" + b" " * (size - 2) + b"}") for n, size in enumerate(sizes)]
    assert [encoded.count for encoded in objects_of(records, 0, len(sizes))] == [3, 3, 1, 1, 2]


def test_an_object_of_before_the_time_of_coming_was_noted_came_when_it_was_written() -> None:
    (encoded,) = objects_of([IncomingRecord(0, 7, None, b"{}")], 0, 1)
    metadata = {key: value for key, value in encoded.metadata.items() if key != TAKEN_KEY}
    index = decode_index(object_key("f", "id", 0, 0), metadata, WRITTEN)
    assert (index.timestamps_ms, index.taken_ms) == ([7], [round(WRITTEN.timestamp() * 1000)])


def test_a_gap_alone_is_an_object_without_records() -> None:
    (encoded,) = objects_of([], 10, 12)
    assert (encoded.start, encoded.end, encoded.count, encoded.body) == (10, 12, 0, b"")
    assert records_of(encoded) == []


@pytest.mark.parametrize("offsets", [[5, 5], [6, 5], [4], [9]])
def test_records_out_of_order_or_range_are_refused(offsets: list[int]) -> None:
    records = [IncomingRecord(offset, 0, None, b"{}") for offset in offsets]
    with pytest.raises(ValueError, match="records"):
        objects_of(records, 5, 9)


def test_names_sort_by_offset() -> None:
    names = [object_key("f", "id", 0, start) for start in (0, 9, 10, 123_456, 2**63 - 1)]
    assert names == sorted(names)
    assert start_of_key(names[3]) == 123_456


TOPIC_ID = "00nt6bphRaeaBxlBhXlDxw"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "_SUCCESS",
        "00000000000000000000.json",
        "0/00000000000000000000.json",
        f"{TOPIC_ID}/00000000000000000000.json",
        f"{TOPIC_ID}/0/",
        f"{TOPIC_ID}/0/00000000000000000000.json.tmp",
        f"{TOPIC_ID}/0/0000000000000000000.json",
        f"{TOPIC_ID}/0/\N{FULLWIDTH DIGIT ZERO}0000000000000000000.json",
        f"{TOPIC_ID}/0/00000000000000000000.json\n",
        f"{TOPIC_ID}/0/09223372036854775808.json",
        f"{TOPIC_ID}/0/old/00000000000000000000.json",
        f"{TOPIC_ID}/00/00000000000000000000.json",
        f"{TOPIC_ID}/2147483648/00000000000000000000.json",
        f"{TOPIC_ID}-copy/0/00000000000000000000.json",
        f"{TOPIC_ID[:-1]}x/0/00000000000000000000.json",
        "backup_of_transactions/0/00000000000000000000.json",
    ],
)
def test_a_name_that_bronze_does_not_give_has_no_place(name: str) -> None:
    assert place_of_key(f"folder/{name}", "folder") is None


def test_the_place_of_an_object_is_in_its_name() -> None:
    for place in ((TOPIC_ID, 0, 0), (TOPIC_ID, 2**31 - 1, 2**63 - 1)):
        assert place_of_key(object_key("folder", *place), "folder") == place
    assert place_of_key(object_key("other", TOPIC_ID, 0, 0), "folder") is None


@pytest.mark.parametrize(
    "change", [{COUNT_KEY: "2"}, {END_KEY: "0"}, {END_KEY: "x"}, {INDEX_KEY: "AAAA"}, {TAKEN_KEY: "x"}]
)
def test_metadata_that_was_changed_is_noticed(change: dict[str, str]) -> None:
    (encoded,) = objects_of([IncomingRecord(0, 0, None, b"{}")], 0, 1)
    with pytest.raises(CorruptObjectError, match="f/id/0/"):
        decode_index(object_key("f", "id", 0, 0), {**encoded.metadata, **change}, WRITTEN)


@pytest.mark.parametrize(
    "numbers", [b"\x01" + b"\x80" * 1_000_000, b"\x01" + b"\xff" * 1_000_000 + b"\x00", b"\x01\x80", b""]
)
def test_an_index_that_is_none_is_noticed_at_once(numbers: bytes) -> None:
    (encoded,) = objects_of([IncomingRecord(0, 0, None, b"{}")], 0, 1)
    index = base64.b64encode(zlib.compress(numbers)).decode()
    began = time.process_time()
    with pytest.raises(CorruptObjectError, match="f/id/0/"):
        decode_index(object_key("f", "id", 0, 0), {**encoded.metadata, INDEX_KEY: index}, WRITTEN)
    assert time.process_time() - began < 1.0  # it took an hour once


@pytest.mark.parametrize("body", [b"", b"{}", b"{}\n{}\n", b'{"_paylake_envelope"\n'])
def test_a_body_that_was_changed_is_noticed(body: bytes) -> None:
    (encoded,) = objects_of([IncomingRecord(0, 0, None, b"{}")], 0, 1)
    with pytest.raises(CorruptObjectError, match="f/id/0/"):
        decode_values("f/id/0/", body_lines("f/id/0/", body, encoded.count))


@given(st.dictionaries(st.text(), st.dictionaries(st.integers(0, 9999), st.integers(0, 2**63 - 1))))
def test_positions_survive_json(positions: dict[str, dict[int, int]]) -> None:
    assert positions_from_json(positions_to_json(positions)) == positions


@pytest.mark.parametrize("text", ["", "[]", '{"t": 1}', '{"t": {"x": 1}}', '{"t": {"0": -1}}', '{"t": {"0": true}}'])
def test_what_is_no_positions_is_refused(text: str) -> None:
    with pytest.raises(InvalidPositionsError):
        positions_from_json(text)
