"""What tools wrap a record in, how to tell, and how to get at the record.

- Serializers of a Schema Registry put a byte 0 and the schema's id before the record (4 bytes, big-endian).
- Kafka Connect's JSON converter makes ``{"schema": …, "payload": …}`` of it.
- Debezium tells a change: ``{"before": …, "after": …, "op": …, …}``, often inside Connect's envelope.

Each has a reason of its own, so that whoever looks at quarantine sees what the record is. A contract may ask that they
are taken off (`Contract.unwrap`); then the record inside is judged like any other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import cast

from include.cleaning.text import shown
from include.quality.parse import UnreadableError, parse_object

_FRAME_BYTES = 5


def open_record(value: bytes, required: frozenset[str], unwrap: Collection[str]) -> dict[str, object] | None:
    """The members of the record that ``value`` is or holds; None for a delete that Connect or Debezium tells.

    What has any of the ``required`` fields is a record itself and never taken for an envelope.

    Raises:
        UnreadableError: as `parse_object`; or ``schema_registry_frame``, ``connect_envelope`` or ``debezium_envelope``
            for one that ``unwrap`` does not name, or that holds no record.
    """
    members = _behind_frame(value, unwrap) if _is_framed(value) else parse_object(value)
    if not required.isdisjoint(members):
        return members
    if "schema" in members and "payload" in members:
        payload = members["payload"]
        # Debezium's own word opens its envelope in either form.
        if not _is_change(payload, required) and "connect" not in unwrap:
            raise UnreadableError("connect_envelope", "is Kafka Connect's envelope; the record is its payload")
        if payload is None:
            return None
        if not isinstance(payload, dict):
            raise UnreadableError("connect_envelope", "is Kafka Connect's envelope, whose payload is no object")
        members = cast("dict[str, object]", payload)
    if not _is_change(members, required):
        return members
    if "debezium" not in unwrap:
        raise UnreadableError("debezium_envelope", "is Debezium's envelope; the record is what it was after the change")
    return _after(members)


def _is_framed(value: bytes) -> bool:
    if not value.startswith(b"\0") or len(value) < _FRAME_BYTES:
        return False
    # Text in UTF-16, big-endian, has a zero in each second byte.
    return not (value[1] and not value[2] and value[3] and not value[4])


def _behind_frame(value: bytes, unwrap: Collection[str]) -> dict[str, object]:
    frame = f"is framed for a Schema Registry (schema id {int.from_bytes(value[1:_FRAME_BYTES], 'big')})"
    payload = value[_FRAME_BYTES:]
    if not payload.lstrip().startswith(b"{"):
        raise UnreadableError("schema_registry_frame", f"{frame}; what follows is no JSON object (Avro, Protobuf, …)")
    if "schema_registry" not in unwrap:
        raise UnreadableError("schema_registry_frame", f"{frame}; what follows is JSON")
    return parse_object(payload)


def _is_change(members: object, required: frozenset[str]) -> bool:
    return (
        isinstance(members, dict)
        and type(members.get("op")) is str
        and ("before" in members or "after" in members)
        and required.isdisjoint(members)
    )


def _after(change: Mapping[str, object]) -> dict[str, object] | None:
    operation, after = change["op"], change.get("after")
    if operation == "d" and after is None:
        return None
    if operation == "d" or not isinstance(after, dict):
        message = f"is Debezium's envelope of the operation {shown(operation)}, whose `after` does not fit that"
        raise UnreadableError("debezium_envelope", message)
    return after
