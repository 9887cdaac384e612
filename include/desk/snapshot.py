"""Answers that take longer to find than anybody waits: one search at a time, whose result is handed to all who ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

REST_SECONDS = 4.0
"""A result is renewed after this time at the earliest."""
SHARE = 0.2
"""At most this share of the time somebody searches, so that what takes long is done seldom."""
PATIENCE = 0.1
"""So many seconds who asks waits for a search that has begun."""


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """A result, ``age_seconds`` old; to find it took ``seconds``."""

    result: T
    age_seconds: float
    seconds: float


class Snapshot(Generic[T]):
    """The newest result of ``search``, which is called in a thread of its own, and only while somebody asks."""

    def __init__(self, name: str, search: Callable[[], T], rest: float = REST_SECONDS) -> None:
        self._name = name
        self._search = search
        self._rest = rest
        self._searching = self._expired = False
        self._changed = threading.Condition()
        self._result: T | Exception | None = None
        self._began = self._ended = 0.0

    def ask(self, patience: float = PATIENCE) -> Found[T] | None:
        """The newest result, a new one if that is found within ``patience``; None before the first.

        Raises:
            Exception: whatever the last search raised.
        """
        with self._changed:
            if not self._searching and self._due():
                self._searching, self._expired = True, False
                threading.Thread(target=self._renew, name=self._name, daemon=True).start()
            self._changed.wait_for(lambda: not self._searching, patience)
            result, began, ended = self._result, self._began, self._ended
        if isinstance(result, Exception):
            raise result
        return None if result is None else Found(result, round(time.monotonic() - began, 1), round(ended - began, 1))

    def expire(self) -> None:
        """Let whoever asks next have it searched for again, because somebody has changed what it shows."""
        with self._changed:
            self._expired = True

    def _due(self) -> bool:
        if self._result is None or self._expired:
            return True
        rest = max(self._rest, (self._ended - self._began) * (1 / SHARE - 1))
        return time.monotonic() >= self._ended + rest

    def _renew(self) -> None:
        began = time.monotonic()
        try:
            result: T | Exception = self._search()
        except Exception as error:  # noqa: BLE001 (whoever asks is told, whatever it is)
            result = error
        with self._changed:
            self._result, self._began, self._ended, self._searching = result, began, time.monotonic(), False
            self._changed.notify_all()
