"""One search at a time for all who ask."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from threading import Event, Thread

import pytest

from include.desk.lake import Rates
from include.desk.snapshot import Snapshot
from tests.support.waiting import wait_until

SECONDS = 10.0


def test_who_asks_while_it_is_searched_is_answered_and_starts_no_other_search() -> None:
    go, calls = Event(), count()

    def search() -> int:
        number = next(calls)
        assert go.wait(SECONDS)
        return number

    snapshot = Snapshot("test", search)
    assert [snapshot.ask(0) for _ in range(5)] == [None] * 5
    found = []
    asking = [Thread(target=lambda: found.append(snapshot.ask(SECONDS))) for _ in range(5)]
    for one in asking:
        one.start()
    go.set()
    for one in asking:
        one.join(SECONDS)
    assert [one.result for one in found if one] == [0] * 5
    assert next(calls) == 1


def test_a_result_rests_until_somebody_has_changed_what_it_shows() -> None:
    calls = count()
    snapshot = Snapshot("test", lambda: next(calls), rest=SECONDS * 10)

    def asked() -> int | None:
        found = snapshot.ask(SECONDS)
        return found.result if found else None

    assert [asked(), asked()] == [0, 0]
    snapshot.expire()
    assert [asked(), asked()] == [1, 1]
    restless = Snapshot("test", lambda: next(calls), rest=0.0)
    results = {restless.ask(SECONDS)}

    def renewed() -> bool:
        results.add(restless.ask(SECONDS))
        return len({found.result for found in results if found}) > 1

    wait_until(renewed, "another result", SECONDS)


def test_what_a_search_raises_is_told_and_the_next_one_may_find_it() -> None:
    answers: Iterator[int | Exception] = iter([ValueError("no"), 5])

    def search() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    snapshot = Snapshot("test", search)
    with pytest.raises(ValueError, match="no"):
        snapshot.ask(SECONDS)
    snapshot.expire()
    found = snapshot.ask(SECONDS)
    assert found
    assert found.result == 5


def test_a_rate_is_that_of_the_last_two_minutes() -> None:
    rates = Rates()
    assert rates.note({"a": 100}, 0.0) == {}
    assert rates.note({"a": 110}, 1.0) == {}
    assert rates.note({"a": 200, "b": 5}, 10.0) == {"a": 10.0}
    # The first two are forgotten.
    assert rates.note({"a": 200, "b": 65}, 130.0) == {"a": 0.0, "b": 0.5}
