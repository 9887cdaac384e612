"""On the module path of the jobs of ``test_poison.py``: faults that single records bring to light.

Every Python of such a job, its workers too, imports this when it starts. A record is struck where its bytes say so;
everything else goes its usual way.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from include.fraud.rules import Rules
from include.quality.plain import PlainReader

# What they import is theirs, too; and the package shows a function under the name of the module ``classify``.
objects: Any = import_module("include.lake.objects")
classify: Any = import_module("include.quality.classify")
decode_line, classify_record, open_record, decode_plain, ask = (
    objects.decode_line,
    classify._classify,
    classify.open_record,
    PlainReader._decoded,
    Rules.ask,
)


def read(line: bytes) -> Any:
    """Strikes while the lines of an object are read."""
    if b"STRIKE-READ" in line:
        raise RuntimeError("struck while it was read")
    return decode_line(line)


def strike(value: bytes) -> None:
    """An error while a record is classified, or the end of the process."""
    if b"STRIKE-CLASSIFY" in value:
        raise ZeroDivisionError("struck while it was classified")
    if b"STRIKE-WORKER" in value:
        os._exit(1)


def opened(value: bytes, *how: Any) -> Any:
    """Strikes a record that is classified by itself."""
    strike(value)
    return open_record(value, *how)


def decoded(reader: PlainReader, value: bytes | None) -> Any:
    """Strikes a record among many that are classified at once."""
    strike(value or b"")
    return decode_plain(reader, value)


def classified(domain: Any, record: Any) -> Any:
    """Strikes when the row is handed over to Spark: no text of Arrow's can hold half a pair of surrogates."""
    outcome = classify_record(domain, record)
    if record.value and b"STRIKE-ROW" in record.value:
        outcome.row[domain.key] = "\ud800"
    return outcome


def asked(rules: Rules, columns: Any, lists: Any) -> Any:
    """Strikes while the rules are asked."""
    if "STRIKE-RULES" in columns["location"].to_pylist():
        raise ArithmeticError("struck by a rule")
    return ask(rules, columns, lists)


objects.decode_line = read
classify.open_record = opened
PlainReader._decoded = decoded  # type: ignore[method-assign, assignment]
classify._classify = classified
Rules.ask = asked  # type: ignore[method-assign, assignment]
