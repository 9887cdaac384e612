"""Asking many parts at once, each on its own: what one of them does wrong says nothing about the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from queue import Empty, Queue
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

SECONDS = 30.0
"""How long all parts together may take; a server that is frozen takes connections and never answers."""

_LONGEST_LINE = 300


def ask(questions: Mapping[K, Callable[[], T]], seconds: float = SECONDS) -> tuple[dict[K, T], dict[K, str]]:
    """Ask all questions at the same time.

    Returns the answers, and, in one line each, why there is none to the others: whatever a question raises, and that it
    took longer than ``seconds``. Both in the order of the questions.
    """
    told: Queue[tuple[K, T | Exception]] = Queue()
    for name, question in questions.items():
        # Daemons: nobody waits for a part that never answers, the end of the program neither.
        threading.Thread(target=_ask_one, args=(name, question, told), name=f"ask {name}", daemon=True).start()
    deadline = time.monotonic() + seconds
    heard: dict[K, T | Exception] = {}
    while len(heard) < len(questions):
        try:
            name, answer = told.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            break
        heard[name] = answer
    silent = TimeoutError(f"no answer within {seconds:.0f} s")
    outcomes = {name: heard.get(name, silent) for name in questions}
    answers = {name: answer for name, answer in outcomes.items() if not isinstance(answer, Exception)}
    reasons = {name: reason(error) for name, error in outcomes.items() if isinstance(error, Exception)}
    return answers, reasons


def _ask_one(name: K, question: Callable[[], T], told: Queue[tuple[K, T | Exception]]) -> None:
    try:
        told.put((name, question()))
    except Exception as error:  # noqa: BLE001 (whatever is broken in a part is what is to be reported of it)
        told.put((name, error))


def reason(error: BaseException) -> str:
    """An error in one line; its type is named where its text alone may say little."""
    text = one_line(str(error))
    kind = type(error)
    if not text:
        return kind.__name__
    return f"{kind.__name__}: {text}" if kind.__module__ == "builtins" and kind is not TimeoutError else text


def one_line(text: str) -> str:
    """A text of anybody as one line of printable characters, cut where it is very long."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…"
