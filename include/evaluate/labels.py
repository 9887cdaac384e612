"""The truth about transactions: what a label is, and how one is read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec


@dataclass(frozen=True, slots=True)
class Label:
    """The truth about one transaction; ``scenario`` is None for a genuine one.

    ``case_id`` is what the frauds of one case share, and ``known_at`` when it became known; None where whoever labelled
    them does not say.
    """

    txn_id: str
    scenario: str | None
    case_id: str | None = None
    known_at: datetime | None = None


def parse_label(value: bytes | None) -> Label | None:
    """The label that a record of the topic holds, None if it holds none."""
    try:
        label = msgspec.json.decode(value or b"")
    except (ValueError, RecursionError):
        return None
    match label:
        case {"txn_id": str(txn_id), "is_fraud": bool(is_fraud), "scenario": (str() | None) as scenario}:
            case_id = label.get("case_id")
            if not isinstance(case_id, str | None) or "\0" in f"{txn_id}{scenario}{case_id}":
                return None
            if is_fraud != (scenario is not None):
                return None
            return Label(txn_id, scenario, case_id)
    return None
