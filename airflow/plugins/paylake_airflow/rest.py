"""What a request to Airflow's REST API must not hold, because no task that is told of it could start.

Airflow tells a task of the events that have woken its run, and of the run's conf. Somebody may have made both by hand,
with any JSON in them, and not all of that can be handed on (Airflow 3.3.2): with a whole number beyond 64 bits, or with
values nested 200 deep, each try of the task died before it began. So such requests are refused.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

API = "/api/v2/"
METHODS = ("POST", "PUT", "PATCH")
SMALLEST, LARGEST = -(2**63), 2**64 - 1
DEEPEST = 64
"""So many values may contain one another."""

TOO_LARGE = "a whole number of more than 64 bits"
TOO_DEEP = f"values nested more than {DEEPEST} deep"
NO_TEXT = "text that is no Unicode"


class RefuseUntellable:
    """ASGI middleware that answers a request to the REST API with 422 if no task could be told what it holds."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer it."""
        if scope["type"] != "http" or scope["method"] not in METHODS or API not in scope["path"]:
            await self._app(scope, receive, send)
            return
        messages = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        if reason := untellable(b"".join(message.get("body", b"") for message in messages)):
            body = json.dumps({"detail": f"The request holds {reason}, which no task could be told."}).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 422, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        again = iter(messages)

        async def replay() -> Message:
            # After the body come messages of the connection, such as its end.
            return next(again, None) or await receive()

        await self._app(scope, replay, send)


def untellable(body: bytes) -> str | None:
    """What the JSON in a request's body holds that no task could be told; what is no JSON is Airflow's to refuse."""
    try:
        value = json.loads(body, parse_int=_whole_number)
    except _TooLargeError:
        return TOO_LARGE
    except RecursionError:
        return TOO_DEEP
    except ValueError:
        return None
    if _is_deeper(value, DEEPEST):
        return TOO_DEEP
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return NO_TEXT
    return None


class _TooLargeError(Exception):
    """A whole number does not fit into 64 bits."""


def _whole_number(text: str) -> int:
    # By its length first: Python turns no text of thousands of digits into a number.
    if len(text.lstrip("-")) > len(str(LARGEST)) or not SMALLEST <= int(text) <= LARGEST:
        raise _TooLargeError
    return int(text)


def _is_deeper(value: Any, levels: int) -> bool:
    layer = [value]
    for _ in range(levels + 1):
        inside = [one.values() if isinstance(one, dict) else one for one in layer if isinstance(one, dict | list)]
        layer = [one for members in inside for one in members]
    return bool(layer)
