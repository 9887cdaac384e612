"""Names, countries, currencies, spaces and times, each on its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime

import pycountry
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.cleaning import CleaningError
from include.cleaning.countries import country_columns
from include.cleaning.currencies import currency_columns
from include.cleaning.names import name_columns
from include.cleaning.text import squeeze
from include.cleaning.timestamps import parse_timestamp, timestamp_columns

NAMES = [
    ("Madonna", None, "Madonna", None, None),
    ("Ana Silva", None, "Ana", "Silva", None),
    ("Ana Maria Silva", None, "Ana Maria", "Silva", None),
    ("Dr. Ana Maria Silva", "Dr.", "Ana Maria", "Silva", None),
    ("Prof. Dr. Hans Müller MD", "Prof. Dr.", "Hans", "Müller", "MD"),
    ("Juan de la Vega", None, "Juan", "de la Vega", None),
    ("Silva, Ana Maria", None, "Ana Maria", "Silva", None),
    ("Smith,John", None, "John", "Smith", None),
    ("Ludwig van Beethoven III", None, "Ludwig", "van Beethoven", "III"),
    ("Smith, John, Jr., MD", None, "John", "Smith", "Jr. MD"),
    ('John "Jack" Smith Jr., PhD', None, 'John "Jack"', "Smith", "Jr. PhD"),
    ("Mary Smith née Jones", None, "Mary", "Smith née Jones", None),
    ("Mr. and Mrs. John Smith", "Mr. and Mrs.", "John", "Smith", None),
    ("Ms. X", "Ms.", "X", None, None),
    ("Dr.", None, "Dr.", None, None),
    ("de la", None, "de la", None, None),
    ("李小龙", None, "李小龙", None, None),
    (",", None, ",", None, None),
]


@pytest.mark.parametrize(("name", "title", "first", "last", "suffix"), NAMES)
def test_names(name: str, title: str | None, first: str, last: str | None, suffix: str | None) -> None:
    assert name_columns(name) == {"title": title, "first_name": first, "last_name": last, "suffix": suffix}


word = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=8)
NAME_WORDS = """Dr. Mr. Mrs. and & Jr. III PhD, née (Jack) "Jo" 'Al' de la van von bin O'Neil Smith, MD 김민준 -"""
known = st.sampled_from(NAME_WORDS.split())


@given(st.lists(word | known, min_size=1, max_size=8).map(" ".join))
@settings(max_examples=1000, deadline=None)
def test_no_part_of_a_name_is_lost_or_doubled(name: str) -> None:
    parts = name_columns(name)
    assert parts["first_name"]
    assert letters(" ".join(part for part in parts.values() if part)) == letters(name)


def letters(text: str) -> Counter[str]:
    return Counter(c for c in text if c != "," and not c.isspace())


@pytest.mark.parametrize(
    ("code", "spellings"),
    [
        (
            "US",
            ["US", "usa", "USA", "u.s.a.", "U.S.", "840", "United States", "the United States of America", "America"],
        ),
        ("GB", ["UK", "u.k.", "GB", "GBR", "Great Britain", "United Kingdom", "England", "Scotland"]),
        ("NL", ["Holland", "The Netherlands", "NLD", "Kingdom of the Netherlands"]),
        ("DE", ["germany", "GERMANY", "DEU", "276", "Federal Republic of Germany"]),
        ("KR", ["South Korea", "Korea, South", "Republic of Korea", "Korea, Republic of"]),
        ("KP", ["North Korea"]),
        ("RU", ["Russia", "Russian Federation"]),
        ("VN", ["Viet Nam", "Vietnam"]),
        ("CI", ["Côte d'Ivoire", "Cote d'Ivoire", "Côte d\u2019Ivoire", "Ivory Coast"]),
        ("TR", ["Turkey", "Türkiye", "Turkiye"]),
        ("CZ", ["Czechia", "Czech Republic"]),
        ("NA", ["NA", "Namibia", "NAM"]),
        ("NE", ["Niger"]),
        ("NG", ["Nigeria"]),
        ("CD", ["DR Congo", "Democratic Republic of the Congo"]),
        ("CG", ["Congo"]),
        ("TT", ["Trinidad & Tobago"]),
        ("LC", ["St. Lucia", "Saint Lucia"]),
        ("AE", ["UAE", "United Arab Emirates"]),
    ],
)
def test_countries_in_many_spellings(code: str, spellings: list[str]) -> None:
    for spelling in spellings:
        expected = {"country_code": code, "country": pycountry.countries.get(alpha_2=code).name}
        assert country_columns(spelling) == expected, spelling


def test_every_country_of_the_standard_is_known_by_all_it_lists() -> None:
    for country in pycountry.countries:
        for spelling in (country.alpha_2, country.alpha_3, country.numeric, country.name.upper()):
            assert country_columns(spelling)["country_code"] == country.alpha_2


@pytest.mark.parametrize(
    "text",
    ["Atlantis", "not a country Niger foo", "England and Niger", "Great Britain foo", "XX", "EU", "USSR", "000", "--"],
)
def test_what_only_contains_a_country_is_none(text: str) -> None:
    with pytest.raises(CleaningError) as raised:
        country_columns(text)
    assert raised.value.code == "unknown_country"


@given(st.text(max_size=40))
def test_any_text_is_a_country_or_not(text: str) -> None:
    with contextlib.suppress(CleaningError):
        assert pycountry.countries.get(alpha_2=country_columns(text)["country_code"])


def test_countries_do_not_load_pandas() -> None:
    program = (
        "import sys; from include.cleaning import CLEANERS; CLEANERS['country']('UK'); print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("False", "")


def test_currencies() -> None:
    assert currency_columns("eur") == {"currency": "EUR"}
    for unknown in ("XYZ", "EURO", "\u20ac", "", "ßR"):
        with pytest.raises(CleaningError):
            currency_columns(unknown)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31 13:45:00", datetime(2026, 1, 31, 13, 45, tzinfo=UTC)),
        ("2026-01-31T13:45", datetime(2026, 1, 31, 13, 45, tzinfo=UTC)),
        ("2026-01-31T13:45:00Z", datetime(2026, 1, 31, 13, 45, tzinfo=UTC)),
        ("2026-01-31t13:45:00z", datetime(2026, 1, 31, 13, 45, tzinfo=UTC)),
        ("2026-01-31T13:45:00.5+02:00", datetime(2026, 1, 31, 11, 45, 0, 500_000, tzinfo=UTC)),
        ("2026-01-31 13:45:00 -0530", datetime(2026, 1, 31, 19, 15, tzinfo=UTC)),
        ("2026-01-31T13:45:00,123456789Z", datetime(2026, 1, 31, 13, 45, 0, 123_456, tzinfo=UTC)),
        ("20260131T134500+01", datetime(2026, 1, 31, 12, 45, tzinfo=UTC)),
    ],
)
def test_timestamps(text: str, moment: datetime) -> None:
    assert parse_timestamp(text) == moment
    assert parse_timestamp(text).tzinfo is UTC


@given(st.datetimes(timezones=st.timezones()))
def test_what_isoformat_writes_is_read_back(moment: datetime) -> None:
    try:
        expected = moment.astimezone(UTC)
    except OverflowError:
        return
    if moment.utcoffset().total_seconds() % 60 == 0:
        assert parse_timestamp(moment.isoformat()) == expected


def test_columns_of_a_timestamp() -> None:
    assert timestamp_columns(datetime(2026, 1, 31, 23, 59, 59, 120_000, tzinfo=UTC)) == {
        "date": date(2026, 1, 31),
        "time": "23:59:59.120000",
        "month": 1,
        "year": 2026,
    }


@given(st.text())
def test_squeezed_text_has_single_spaces_and_the_same_letters(text: str) -> None:
    squeezed = squeeze(text)
    assert squeeze(squeezed) == squeezed
    assert "  " not in squeezed
    assert not squeezed.startswith(" ")
    assert letters(squeezed) <= letters(text)
