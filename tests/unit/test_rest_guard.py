"""Requests to Airflow's REST API: what no task could be told is refused, everything else comes through as it was."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from paylake_airflow.rest import NO_TEXT, TOO_DEEP, TOO_LARGE, RefuseUntellable

EVENTS = "/api/v2/assets/events"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers with what it was sent, in the pieces in which it came."""
    pieces = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b"").decode("latin-1"))
        if not message.get("more_body"):
            break
    pieces.append((await receive())["type"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(pieces).encode()})


def answer(*pieces: bytes, method: str = "POST", path: str = EVENTS) -> tuple[int, Any]:
    """Status and body of the answer to a request whose body comes in pieces."""
    incoming = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    incoming[-1]["more_body"] = False
    incoming.append({"type": "http.disconnect"})
    sent: list[Any] = []

    async def receive() -> Any:
        return incoming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(RefuseUntellable(echo)({"type": "http", "method": method, "path": path}, receive, send))
    start, body = sent
    return start["status"], json.loads(body["body"])


def nested(levels: int, opening: str = "[", closing: str = "]") -> str:
    return opening * levels + "1" + closing * levels


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("18446744073709551616", TOO_LARGE),
        ("-9223372036854775809", TOO_LARGE),
        ("9" * 400, TOO_LARGE),
        ("-" + "9" * 100_000, TOO_LARGE),
        (nested(65), TOO_DEEP),
        (nested(200, '{"a":', "}"), TOO_DEEP),
        (nested(100_000), TOO_DEEP),
        ('"\\ud800"', NO_TEXT),
        ('{"\\udfff\\ud83d": 1}', NO_TEXT),
    ],
    ids=range(9),
)
def test_what_no_task_could_be_told_is_refused_wherever_it_is(value: str, reason: str) -> None:
    body = f'{{"asset_id": 1, "extra": {{"a": [{{"b": {value}}}]}}}}'.encode()
    for pieces in ([body], [body[:20], body[20:]]):
        status, said = answer(*pieces)
        assert (status, said["detail"]) == (422, f"The request holds {reason}, which no task could be told.")
    assert answer(body, path="/airflow/api/v2/dags/x/dagRuns")[0] == 422


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff",
        b'{"extra": {"a": 18446744073709551615, "b": -9223372036854775808, "c": 1e400}, "d": "99999999999999999999"}',
        b'{"extra": {"a": 0.' + b"1" * 5_000 + b"}}",
        b'{"a": "\\ud83d\\ude00 \\u0000 \xc3\xa9"}',
        nested(64).encode(),
        nested(64, '{"a":', "}").encode(),
    ],
    ids=range(8),
)
def test_everything_else_comes_through_as_it_was(body: bytes) -> None:
    assert answer(body) == (200, [body.decode("latin-1"), "http.disconnect"])
    pieces = body[:5], body[5:]
    assert answer(*pieces) == (200, [*(piece.decode("latin-1") for piece in pieces), "http.disconnect"])


def test_nothing_else_is_looked_into() -> None:
    large = b"9" * 30
    assert answer(large, method="GET")[0] == 200
    assert answer(large, path="/execution/assets")[0] == 200
