"""An error is narrowed down to the record in which it lies, and to nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st
from pyspark.errors import PythonException, UnknownException

from include.lake.objects import CorruptObjectError
from include.quality.isolate import halves_of, isolate, lies_in_records, try_twice, unprocessable

TRACEBACK = """
  An exception was thrown from the Python worker. Please see the stack trace below.
Traceback (most recent call last):
  File "worker.py", line 1, in <module>
    process()
{}
"""


@given(st.sets(st.integers(0, 999)), st.integers(1, 1000))
def test_each_record_that_strikes_is_refused_alone_and_the_others_are_taken_in_order(
    struck: set[int], count: int
) -> None:
    def take(part: Sequence[int]) -> Sequence[int]:
        if struck.intersection(part):
            raise ValueError("struck")
        return part

    work: Sequence[int] = range(count)
    parts = isolate(work, take, halves_of, lambda part, _: [-1 - part[0]])
    found = [number for part in parts for number in part]
    assert found == [-1 - number if number in struck else number for number in range(count)]


def test_what_lies_elsewhere_is_raised_at_once() -> None:
    def take(part: Sequence[int]) -> None:
        taken.append(part)
        raise ConnectionError("gone")

    taken: list[Sequence[int]] = []
    work: Sequence[int] = range(8)
    with pytest.raises(ConnectionError):
        isolate(work, take, halves_of, lambda *_: None)
    assert taken == [work]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        ZeroDivisionError(),
        RecursionError(),
        psycopg.DataError("a NUL"),
        psycopg.errors.CheckViolation("no"),
        PythonException(TRACEBACK.format("UnicodeEncodeError: 'utf-8' codec can't encode")),
        PythonException(TRACEBACK.format("some.library.OddError")),
        UnknownException("Job aborted due to stage failure: java.lang.ArithmeticException: overflow"),
        UnknownException("Job aborted: Python worker exited unexpectedly (crashed): java.io.EOFException"),
    ],
)
def test_errors_that_a_record_can_bring_about(error: Exception) -> None:
    assert lies_in_records(error)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        MemoryError(),
        ModuleNotFoundError("pycountry"),
        EndpointConnectionError(endpoint_url="http://s3"),
        psycopg.OperationalError("gone"),
        psycopg.errors.UndefinedColumn("no such column"),
        CorruptObjectError("an object was changed"),
        PythonException(TRACEBACK.format("botocore.exceptions.EndpointConnectionError: Could not connect")),
        PythonException(TRACEBACK.format("include.lake.bronze_log.BrokenChainError: bronze has no object")),
        PythonException(TRACEBACK.format("ConnectionRefusedError: [Errno 111]")),
        PythonException(
            TRACEBACK.format("ValueError: x\n\nDuring …\n\nTraceback (most recent call last):\nOSError: y")
        ),
        UnknownException("[TABLE_OR_VIEW_NOT_FOUND] The table cannot be found"),
        UnknownException("Job aborted due to stage failure: java.net.ConnectException: Connection refused"),
        UnknownException("Python worker failed to connect back."),
        UnknownException("java.lang.OutOfMemoryError: Java heap space"),
    ],
)
def test_errors_of_servers_and_machines_and_those_that_we_name_ourselves(error: Exception) -> None:
    assert not lies_in_records(error)


def test_a_second_chance_is_given_once_and_only_to_what_may_lie_in_records() -> None:
    def fail(error: Exception) -> None:
        tries.append(error)
        raise error

    tries: list[Exception] = []
    with pytest.raises(ValueError, match="twice"):
        try_twice(lambda: fail(ValueError("twice")), "it")
    assert len(tries) == 2
    with pytest.raises(OSError, match="once"):
        try_twice(lambda: fail(OSError("once")), "it")
    assert len(tries) == 3
    assert try_twice(lambda: 5, "it") == 5


def test_the_reason_names_the_error_in_characters_that_every_store_takes() -> None:
    assert unprocessable(ValueError("a\x00\ud800\nb")).message == r"cannot be processed: 'ValueError: a\x00\ud800 b'"
    from_worker = PythonException(TRACEBACK.format("KeyError: 'x'"))
    assert unprocessable(from_worker).message == "cannot be processed: 'KeyError: 'x''"
    assert unprocessable(from_worker).code == "unprocessable"
