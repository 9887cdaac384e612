"""The note that bronze holds in place of what could not be read from Kafka.

It is a record like any other, at the first of the offsets that it stands for: a JSON object that no contract takes, so
it goes to quarantine. A producer may send the same; that is refused in the same way, and means nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from include.lake.records import IncomingRecord

if TYPE_CHECKING:  # Spark's workers, which classify records, need no Kafka client
    from include.kafka.unreadable import Unreadable

NOTE_KEY = "_paylake_unreadable"


def note(unreadable: Unreadable, last: int) -> IncomingRecord:
    """The record that stands for the offsets from ``unreadable.first`` to ``last``, dated now."""
    text = {"first": unreadable.first, "last": last, "error": unreadable.error}
    value = json.dumps({NOTE_KEY: text}, separators=(",", ":")).encode()
    return IncomingRecord(unreadable.first, int(time.time() * 1000), None, value)


def is_note(members: Mapping[str, object]) -> bool:
    """Whether a JSON object is such a note, or looks like one."""
    return members.keys() == {NOTE_KEY}
