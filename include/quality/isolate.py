"""Narrowing an error down to the record in which it lies, so that no record holds up the others.

What is wrong with a record is nearly always found by ``classify`` and is an outcome, not an error. This is for the
rest: a fault of a library or of ours that one record in a million brings to light. Whoever works on many records at
once tries again, because it may have been chance, and then halves the work until the record is alone.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import psycopg
from botocore.exceptions import BotoCoreError, ClientError

from include.cleaning.text import shown
from include.quality.reason import Reason

W = TypeVar("W")
T = TypeVar("T")

CODE = "unprocessable"

log = logging.getLogger(__name__)

_ELSEWHERE = (psycopg.Error, BotoCoreError, ClientError, OSError, MemoryError, ImportError)
_SPARK = ("pyspark.", "py4j.")
_WORKER_DIED = "Python worker exited unexpectedly"
_IN_A_TASK = "Job aborted due to stage failure"
# No worker was there to see a record, or what it made of many was too much at once.
_NO_WORKER = re.compile(r"Error from python worker|reading the port number|Cannot run program|maxResultSize")
# How a traceback of a worker ends.
_RAISED = re.compile(r"^(?P<type>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$", re.MULTILINE)
_TRACEBACK = "Traceback (most recent call last):"
# What a Python worker or the JVM says of the faults of servers and machines, and of damage that Paylake names itself.
_ELSEWHERE_TYPE = re.compile(
    r"(?:botocore|urllib3|psycopg|include)\.|(?:OS|IO|Memory|Import|ModuleNotFound|Connection\w*|BrokenPipe|Timeout|"
    r"FileNotFound|Permission|Interrupted)Error$"
)
_ELSEWHERE_TEXT = re.compile(
    r"java\.net\.|software\.amazon|fs\.s3a\.|org\.postgresql|java\.sql\.|OutOfMemoryError|No space left|"
    r"failed to connect back|SparkContext was shut down"
)


def lies_in_records(error: Exception) -> bool:
    """Whether the error comes from what records hold, as far as can be told: it is not a server's or the machine's.

    Errors of Paylake's own name what is wrong; none of them is about one record.
    """
    if isinstance(error, psycopg.DataError | psycopg.IntegrityError):
        return True
    if type(error).__module__.startswith(_SPARK):
        return _spark_lies_in_records(str(error))
    return not isinstance(error, _ELSEWHERE) and not type(error).__module__.startswith("include.")


def unprocessable(error: Exception) -> Reason:
    """The reason for which a record goes to quarantine that nothing could be done with."""
    if type(error).__module__.startswith(_SPARK):
        raised = _raised(str(error))
        what = f"{raised['type']}: {raised['message'] or ''}" if raised else _worker_died(str(error))
    else:
        what = f"{type(error).__name__}: {error}"
    return Reason(None, CODE, f"cannot be processed: {shown(' '.join(what.split()), 300)}")


def isolate(
    work: W, take: Callable[[W], T], halve: Callable[[W], tuple[W, W] | None], refuse: Callable[[W, Exception], T]
) -> list[T]:
    """Take all of ``work``, in order; a record for which that fails is refused alone.

    ``halve`` cuts work in two, and returns None for a single record. What ``take`` did before it failed must be undone.

    Raises:
        Exception: what ``take`` raises for a reason that does not lie in records, and what ``refuse`` raises.
    """
    try:
        return [take(work)]
    except Exception as error:
        if not lies_in_records(error):
            raise
        halves = halve(work)
        if halves is None:
            log.error("refused alone: %s", unprocessable(error).message)
            return [refuse(work, error)]
    return [*isolate(halves[0], take, halve, refuse), *isolate(halves[1], take, halve, refuse)]


def try_twice(action: Callable[[], T], what: str) -> T:
    """The result of ``action``, which gets a second chance if it failed for a reason that lies in records."""
    try:
        return action()
    except Exception as error:
        if not lies_in_records(error):
            raise
        log.warning("%s failed and is tried once more: %s", what, unprocessable(error).message)
        return action()


def halves_of(items: Sequence[T]) -> tuple[Sequence[T], Sequence[T]] | None:
    """The first half and the other one; None where there is one item."""
    middle = len(items) // 2
    return (items[:middle], items[middle:]) if middle else None


def _spark_lies_in_records(text: str) -> bool:
    if _NO_WORKER.search(text):
        return False
    raised = _raised(text)
    if raised is not None:
        return not _ELSEWHERE_TYPE.match(raised["type"])
    # What fails outside of a task (planning, a table that is gone) has not seen a record.
    return _WORKER_DIED in text or (_IN_A_TASK in text and not _ELSEWHERE_TEXT.search(text))


def _raised(text: str) -> re.Match[str] | None:
    """Type and message of the error that a Python worker raised, if it is one."""
    _, found, traceback = text.rpartition(_TRACEBACK)
    return _RAISED.search(traceback) if found else None


def _worker_died(text: str) -> str:
    return _WORKER_DIED if _WORKER_DIED in text else text
