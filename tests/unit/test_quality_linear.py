"""How long a record takes to decide: in proportion to its length, and less than 50 ms for a megabyte of anything."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.cleaning.countries import country_columns
from include.cleaning.currencies import currency_columns
from include.cleaning.errors import CleaningError
from include.cleaning.invisible import visible
from include.cleaning.names import name_columns
from include.cleaning.placeholders import is_placeholder
from include.cleaning.places import countries_of, normal_place, place
from include.cleaning.text import forbidden_character, shown, squeeze, tidy
from include.cleaning.timestamps import parse_timestamp
from include.contracts.field import MAX_TEXT_CHARACTERS
from include.domains import ACCOUNTS, DOMAINS, PROFILES, TRANSACTIONS, Domain
from include.lake.records import BronzeRecord
from include.quality import Rejected, Valid, classify
from include.quality.parse import MAX_DEPTH, MAX_VALUES, UnreadableError, parse_object
from include.quality.values import MAX_RAW_CHARACTERS
from tests.support.records import GOOD

KAFKA_TIME_MS = 1_769_904_000_000
MEGABYTE = 1_000_000
LIMIT_SECONDS = 0.05

# The long classes of Unicode's combining marks, the highest first: the worst order for who has to sort them.
MARKS_TO_SORT = "\u0345\u035d\u0315\u0300\u0316\u0327\u0e38\u064b\u05b0"
FRAGMENTS = (
    *("1,", "{},", "[],", '"",', "[[],", "[1],", '{"a":', '{"a":1},', '"a":1,', "true,", "NaN,", "null", '"\\"",'),
    *(",", "[", "]", "{", "}", "[ ", "{\t", '"', "\\", "\\\\", '\\"', '\\"\\\\', "\\n", "\\u0041"),
    *("\\ud800", "\\ud83d", "\\u0300\\u0315", "\\u200b", "\\u0000", "1", "-", "0.", "1e", "e", ".", "+", "٣"),
    *(" ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2028", "\x00", "\ufeff", "\u200b", "\u200d", "\u202e"),
    *("\u200c\u200d", "a\u200b", "م\u200c", "☎\ufe0f", "👩\u200d", "é", "e\u0301", "e\u0301\u0323\u0302", "💸"),
    *("\u1112\u1161\u11ab", "a", "a ", " a", "'", ". ", "N/A ", "a@", "@", "2026-", "T", MARKS_TO_SORT),
    *("republic of ", "dr. ", "a,", "(", '"a" ', "and ", "née "),
    *('\\"[', '\\"{},', '[\\\\\\",', "\\ud800[,"),
)
STRUCTURE = (
    '"',
    '\\"',
    "\\\\",
    "\\",
    "[",
    "{",
    "]",
    "}",
    ",",
    ":",
    "1",
    "-",
    "e",
    " ",
    "\n",
    "a",
    "\\ud800",
    "\\u0022",
)


def as_it_is(_domain: Domain, filler: str) -> str:
    return filler


def in_an_array(_domain: Domain, filler: str) -> str:
    return f'{{"a":[{filler}'


def in_a_string(_domain: Domain, filler: str) -> str:
    return f'{{"a":"{filler}'


def in_a_closed_string(domain: Domain, filler: str) -> str:
    return f'{json.dumps(GOOD[domain.name])[:-1]},"a":"{filler}"}}'


def in_a_key(_domain: Domain, filler: str) -> str:
    return f'{{"{filler}":1}}'


def as_a_number(_domain: Domain, filler: str) -> str:
    return f'{{"amount":{filler}}}'


SHAPES = (as_it_is, in_an_array, in_a_string, in_a_closed_string, in_a_key, as_a_number)
FIELDS = [
    *(
        (PROFILES, name)
        for name in ("user_id", "name", "country", "account_type", "credit_score", "email", "timestamp")
    ),
    *((ACCOUNTS, name) for name in ("current_balance", "currency")),
    (TRANSACTIONS, "location"),
]
"""One field for each way in which a value is looked at."""


def of_field(domain: Domain, field: str, text: str) -> bytes:
    return json.dumps(GOOD[domain.name] | {field: text}, ensure_ascii=False).encode("utf-8", "surrogatepass")


def judged(domain: Domain, value: bytes) -> object:
    return classify(domain, BronzeRecord("topic", 0, 0, KAFKA_TIME_MS, KAFKA_TIME_MS, value))


def filled(fragment: str, length: int) -> str:
    return (fragment * (length // len(fragment) + 1))[:length]


def cpu_seconds(work: Callable[[], object], below: float, tries: int = 10) -> float:
    """The least CPU time of several tries, for others may use the machine; as soon as it is below a limit."""
    least = float("inf")
    for _ in range(tries):
        start = time.process_time()
        work()
        least = min(least, time.process_time() - start)
        if least < below:
            break
    return least


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """Tables and plans that are made once for a process are made before anything is measured."""
    for domain in DOMAINS.values():
        assert isinstance(judged(domain, json.dumps(GOOD[domain.name]).encode()), Valid)
        judged(domain, of_field(domain, domain.key, "é"))
    countries_of(("Texas",))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_megabyte_of_anything_is_decided_within_the_limit(shape: Callable[[Domain, str], str]) -> None:
    for fragment in FRAGMENTS:
        value = shape(TRANSACTIONS, filled(fragment, MEGABYTE)).encode("utf-8", "surrogatepass")[:MEGABYTE]
        took = cpu_seconds(partial(judged, TRANSACTIONS, value), LIMIT_SECONDS)
        assert took < LIMIT_SECONDS, (fragment, took)


@pytest.mark.parametrize(("domain", "field"), FIELDS)
def test_a_megabyte_in_any_field_is_decided_within_the_limit(domain: Domain, field: str) -> None:
    for fragment in FRAGMENTS:
        value = of_field(domain, field, filled(fragment, MEGABYTE // len(fragment.encode("utf-8", "surrogatepass"))))
        took = cpu_seconds(partial(judged, domain, value), LIMIT_SECONDS)
        assert took < LIMIT_SECONDS, (fragment, took)


@pytest.mark.parametrize(("domain", "field"), FIELDS)
@pytest.mark.parametrize("length", [100, 200, 4 * MAX_TEXT_CHARACTERS, MAX_RAW_CHARACTERS])
def test_the_longest_text_that_is_looked_at_is_decided_within_the_limit(
    domain: Domain, field: str, length: int
) -> None:
    for fragment in FRAGMENTS:
        value = of_field(domain, field, filled(fragment, length))
        took = cpu_seconds(partial(judged, domain, value), LIMIT_SECONDS)
        assert took < LIMIT_SECONDS, (fragment, took)


@pytest.mark.parametrize(
    "text",
    [
        "{" + ",".join(f'"{number:043}":{{}}' for number in range(MAX_VALUES)) + "}",
        "{" + ",".join(f'"{number:043}":{number}' for number in range(MAX_VALUES)) + "}",
        "{" + ",".join(f'"{number}":[{number}]' for number in range(MAX_VALUES // 2)) + "}",
        "{" + ",".join(f'"{number}":{number}' for number in range(80_000)) + "}",
        '{"a":[' + ",".join("[" * (MAX_DEPTH - 2) + "]" * (MAX_DEPTH - 2) for _ in range(8_000)) + "]}",
        '{"a":[' + ",".join("[" * (MAX_DEPTH - 2) + "]" * (MAX_DEPTH - 2) for _ in range(300)) + "]}",
    ],
)
def test_many_values_are_decided_within_the_limit(text: str) -> None:
    value = text.encode()[:MEGABYTE]
    assert cpu_seconds(partial(judged, TRANSACTIONS, value), LIMIT_SECONDS) < LIMIT_SECONDS


def parsed(text: str) -> None:
    try:
        parse_object(text.encode("utf-8", "surrogatepass"))
    except UnreadableError:
        return


def cleaned(cleaner: Callable[[str], object], text: str) -> None:
    try:
        getattr(cleaner, "__wrapped__", cleaner)(text)
    except (CleaningError, ValueError):
        return


CLEANERS = (
    *(squeeze, visible, tidy, forbidden_character, shown, is_placeholder, normal_place, place),
    *(parse_timestamp, country_columns, currency_columns),
)
# What a text may hold at most before one of these sees it; they are measured below that.
BOUNDED: dict[Callable[[str], object], int] = {country_columns: 100, currency_columns: 3}


@given(st.sampled_from(SHAPES), st.lists(st.sampled_from(STRUCTURE), min_size=1, max_size=6).map("".join))
@settings(max_examples=200, deadline=None)
def test_twice_the_bytes_take_the_parser_twice_as_long(shape: Callable[[Domain, str], str], fragment: str) -> None:
    texts = [shape(TRANSACTIONS, filled(fragment, length)) for length in (40_000, 80_000)]
    assert_linear(*(partial(parsed, text) for text in texts))


@given(st.sampled_from(CLEANERS), st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=4).map("".join))
@settings(max_examples=120, deadline=None)
def test_twice_the_text_takes_a_cleaner_twice_as_long(cleaner: Callable[[str], object], fragment: str) -> None:
    longest = BOUNDED.get(cleaner, 40_000)
    texts = [filled(fragment, length) for length in (longest // 2, longest)]
    if cleaner in (normal_place, place):  # they put marks in order, in a time that only their callers bound
        texts = [text.translate(dict.fromkeys(map(ord, MARKS_TO_SORT + "\u0301\u0323\u0302"))) for text in texts]
    assert_linear(*(partial(cleaned, cleaner, text) for text in texts))


@given(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=4).map("".join))
@settings(max_examples=60, deadline=None)
def test_twice_the_name_takes_twice_as_long(fragment: str) -> None:
    name = tidy(fragment)
    if name:
        assert_linear(*(partial(cleaned, name_columns, filled(name, length)) for length in (100, 200)))


def assert_linear(once: Callable[[], object], twice: Callable[[], object]) -> None:
    """Twice as long, with a wide margin: a square would be four times, and 5 ms are too little to tell."""
    for _ in range(5):
        limit = 3 * cpu_seconds(once, 0, tries=2) + 0.005
        took = cpu_seconds(twice, limit, tries=2)
        if took < limit:
            return
    raise AssertionError(f"{took} s, above {limit} s")


@pytest.mark.parametrize(
    "filler", ["x", ",", "[]", "{},", '\\"', "\\\\", "\\n", "\\u0041", "é", "\\ud83d\\udcb8", '\\",\\"', '\\\\\\",[']
)
def test_what_is_large_but_plain_stays_valid(filler: str) -> None:
    note = filler * (900_000 // len(filler.encode()))
    value = f'{json.dumps(GOOD[TRANSACTIONS.name])[:-1]}, "note": "{note}"}}'
    assert isinstance(judged(TRANSACTIONS, value.encode()), Valid)


@pytest.mark.parametrize("value", ["1", '""', "null", "{}", "[]", "[ ]", '{"a": 1}', '"\\",\\\\"', "[[]]"])
def test_values_are_counted_wherever_they_stand_and_nothing_else_is(value: str) -> None:
    own = {'{"a": 1}': 2, "[[]]": 2}.get(value, 1)
    good = json.dumps(GOOD[TRANSACTIONS.name])[:-1]
    # The record's own fields, and the field that holds the array.
    room = MAX_VALUES - len(GOOD[TRANSACTIONS.name]) - 1
    most = f'{good}, "many": [{", ".join([value] * (room // own))}]}}'
    one_more = f'{good}, "many": [{", ".join([value] * (room // own + 1))}]}}'
    assert isinstance(judged(TRANSACTIONS, most.encode()), Valid)
    outcome = judged(TRANSACTIONS, one_more.encode())
    assert isinstance(outcome, Rejected)
    assert [reason.code for reason in outcome.reasons] == ["too_many_values"]
