"""Positions in bronze: how far each topic's partitions were read, in Kafka's offsets."""

from __future__ import annotations

import json
from typing import TypeAlias

Positions: TypeAlias = dict[str, dict[int, int]]
"""Topic id -> partition -> next offset. What is not in it has not been read at all, so its next offset is 0."""


class InvalidPositionsError(ValueError):
    """A text is not the JSON form of positions; the message says what is wrong with it."""


def positions_to_json(positions: Positions) -> str:
    """The JSON form, the same text for the same positions: ``{"<topic id>": {"<partition>": offset}}``."""
    return json.dumps(plain_positions(positions), separators=(",", ":"))


def plain_positions(positions: Positions) -> dict[str, dict[str, int]]:
    """The same with text keys, as JSON objects have them, sorted by topic id and partition number."""
    return {
        topic_id: {str(partition): offset for partition, offset in sorted(partitions.items())}
        for topic_id, partitions in sorted(positions.items())
    }


def positions_from_json(text: str) -> Positions:
    """Read the JSON form.

    Raises:
        InvalidPositionsError: it is not JSON, has another shape, or holds a negative number.
    """
    try:
        plain = json.loads(text)
    except ValueError as error:
        raise InvalidPositionsError(f"positions are not JSON: {error}") from error
    return positions_from_plain(plain)


def positions_from_plain(plain: object) -> Positions:
    """Read the form with text keys.

    Raises:
        InvalidPositionsError: another shape, or a negative number.
    """
    if not isinstance(plain, dict):
        raise InvalidPositionsError(f"positions are no object of topic ids: {plain!r}")
    positions: Positions = {}
    for topic_id, partitions in plain.items():
        if not isinstance(topic_id, str) or not isinstance(partitions, dict):
            raise InvalidPositionsError(f"positions of topic {topic_id!r} are no object of partitions")
        positions[topic_id] = {_partition(topic_id, key): _offset(topic_id, at) for key, at in partitions.items()}
    return positions


def _partition(topic_id: str, key: object) -> int:
    if isinstance(key, str) and key.isascii() and key.isdigit():
        return int(key)
    raise InvalidPositionsError(f"topic {topic_id}: {key!r} is no partition number")


def _offset(topic_id: str, offset: object) -> int:
    if isinstance(offset, int) and not isinstance(offset, bool) and offset >= 0:
        return offset
    raise InvalidPositionsError(f"topic {topic_id}: {offset!r} is no offset")
