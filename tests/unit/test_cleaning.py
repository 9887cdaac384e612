"""Names, countries, currencies, spaces and times, each on its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import unicodedata
from collections import Counter
from datetime import UTC, date, datetime

import pycountry
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.cleaning import CleaningError
from include.cleaning.countries import country_columns
from include.cleaning.currencies import currency_columns
from include.cleaning.invisible import visible
from include.cleaning.names import name_columns
from include.cleaning.placeholders import is_placeholder
from include.cleaning.places import normal_place
from include.cleaning.text import LONGEST_DECOMPOSITION, composed, squeeze, tidy
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
    assert letters(" ".join(part for part in parts.values() if isinstance(part, str))) == letters(name)


def letters(text: str) -> Counter[str]:
    return Counter(c for c in text if c != "," and not c.isspace())


@pytest.mark.parametrize(
    ("code", "spellings"),
    [
        (
            "US",
            [
                *(
                    "US",
                    "usa",
                    "USA",
                    "u.s.a.",
                    "U. S. A.",
                    "U S A",
                    "\uff35\uff0e\uff33\uff0e\uff21\uff0e",
                    "U.S.",
                    "(US)",
                    "840",
                    "United States",
                ),
                *("the United States of America", "America"),
            ],
        ),
        ("GB", ["UK", "u.k.", "GB", "GBR", "Great Britain", "United Kingdom", "England", "Scotland"]),
        ("NL", ["Holland", "The Netherlands", "NLD", "Kingdom of the Netherlands"]),
        ("DE", ["germany", "GERMANY", "DEU", "276", "Federal Republic of Germany"]),
        ("KR", ["South Korea", "Korea, South", "Republic of Korea", "Korea, Republic of"]),
        ("KP", ["North Korea"]),
        ("RU", ["Russia", "Russian Federation"]),
        ("VN", ["Viet Nam", "Vietnam"]),
        (
            "CI",
            [
                "Côte d'Ivoire",
                "Cote d'Ivoire",
                "Côte d\u2019Ivoire",
                "Cote d\u02bcIvoire",
                "Côte d\xb4Ivoire",
                "Ivory Coast",
            ],
        ),
        ("TR", ["Turkey", "Türkiye", "Turkiye"]),
        ("CZ", ["Czechia", "Czech Republic"]),
        ("NA", ["NA", "na", "Namibia", "NAM"]),
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
    country = pycountry.countries.get(alpha_2=code)
    assert country is not None
    for spelling in spellings:
        expected = {"country_code": code, "country": country.name}
        assert country_columns(spelling) == expected, spelling


PLACEHOLDERS = (
    *("N/A", "n/a", "N.A.", "n.a.", "n.a", "N. A.", "N A", "<NA>", "#N/A", "(n/a)", "n\\a", "\uff2e\uff0f\uff21"),
    *("-", "--", "---", "\u2013", "\u2014", "?", "??", ".", "...", "\u2026", "_", "*", "/", "()", "'", '""', ""),
    *("null", "NULL", "(null)", "<null>", "none", "None", "nil", "NaN", "undefined", "unknown", "UNKNOWN", "<unknown>"),
    *("not available", "Not Available", "not applicable", "not specified", "unspecified", "no data", "missing"),
    *("TBD", "t.b.d.", "tba", "XX", "xxx", "test", "TEST", "-test-"),
)


@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_no_placeholder_is_a_country(text: str) -> None:
    assert is_placeholder(text)
    with pytest.raises(CleaningError) as raised:
        country_columns(text)
    assert raised.value.code == "unknown_country"


@pytest.mark.parametrize("text", ["D/K", "N/R", "c/o", "N/O", "i/o", "N-A", "T-N"])
def test_letters_with_a_stroke_between_them_are_no_code(text: str) -> None:
    with pytest.raises(CleaningError):
        country_columns(text)


@pytest.mark.parametrize(
    "text",
    [
        *("Jennifer Null", "Null Island", "Unknown Records", "None, Italy", "Testaccio", "Nana", "Xi", "Xixi", "Nilo"),
        *("Test User", "O", "\U0001f4b8", "C&A", "3M", "Nandi", "\u5357", "Noneville", "A.N.", "\u0928\u093e"),
    ],
)
def test_what_only_holds_or_resembles_a_placeholder_is_none(text: str) -> None:
    assert not is_placeholder(text)


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
    clean = "from include.cleaning import CLEANERS; CLEANERS['country'].make('UK')"
    program = f"import sys; {clean}; print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("False", "")


def test_currencies() -> None:
    assert currency_columns("eur") == {"currency": "EUR"}
    for unknown in ("XYZ", "EURO", "\u20ac", "", "ßR", "XXX", "xts"):
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
    offset = moment.utcoffset()
    assert offset is not None
    if offset.total_seconds() % 60 == 0:
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


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("Teh\u200bran", "Tehran"),
        ("Tehran\u200e", "Tehran"),
        ("\ufeffTehran", "Tehran"),
        ("Teh\u00adran", "Tehran"),
        ("Teh\u2060ran\u2063", "Tehran"),
        ("\u200fTehran\u061c", "Tehran"),
        ("Tehran\U000e0041\U000e007f", "Tehran"),
        ("Teh\u200cran", "Tehran"),
        ("Teh\u200dran", "Tehran"),
        ("Tehran\ufe0f", "Tehran"),
        ("Tehran\U000e0100", "Tehran"),
        ("\u3164\uffa0\u115f", ""),
        ("a\u034fb\ufff9c", "abc"),
        # Words of Persian, Hindi (a half letter), Malayalam (an old chillu at the end), Sinhala and Mongolian.
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", None),
        ("\u0915\u094d\u200d\u0937", None),
        ("\u0915\u094d\u200c\u0937", None),
        ("\u0d05\u0d35\u0d28\u0d4d\u200d", None),
        ("\u0dc1\u0dca\u200d\u0dbb\u0dd3", None),
        ("\u182d\u180b\u1820", None),
        # Emoji: a family, a rainbow flag, a heart in colour; an ideograph in a chosen form.
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467", None),
        ("\U0001f3f3\ufe0f\u200d\U0001f308", None),
        ("\u2764\ufe0f", None),
        ("\u845b\U000e0100\u57ce", None),
        # A joiner too many, at an edge, or with something invisible beside it.
        ("\u0645\u06cc\u200c\u200c\u200d\u062e", "\u0645\u06cc\u200c\u062e"),
        ("\u0645\u06cc\u200b\u200c\u200e\u062e", "\u0645\u06cc\u200c\u062e"),
        ("\u200c\u0645\u06cc\u200c", "\u0645\u06cc"),
        ("\u0645\u200c \u06cc", "\u0645 \u06cc"),
        ("\u2764\ufe0f\ufe0f", "\u2764\ufe0f"),
    ],
)
def test_what_cannot_be_seen_goes_and_what_a_script_needs_stays(text: str, seen: str | None) -> None:
    assert visible(text) == (text if seen is None else seen)


written = st.text(
    st.characters(exclude_categories=("Cs", "Cc"))
    | st.sampled_from("\u200b\u200c\u200d\ufe0f\u180b\u0645\u0647\u0915\u094d\u0d28\u0d4d")
    | st.sampled_from("\U0001f468\u2764\u845be\u0301\u3164\u00a0 "),
    max_size=12,
)


@given(written)
@settings(max_examples=2000, deadline=None)
def test_cleaning_clean_text_changes_nothing(text: str) -> None:
    once = composed(tidy(text))
    assert composed(tidy(once)) == once


def test_no_character_is_taken_apart_into_more_than_the_limit_says() -> None:
    every = map(chr, range(sys.maxunicode + 1))
    assert max(len(unicodedata.normalize("NFD", character)) for character in every) == LONGEST_DECOMPOSITION


@pytest.mark.parametrize(
    "spellings",
    [
        ["Sana'a", "Sana\u2019a", "Sana\u02bca", "Sana\u2018a", "Sana`a", "Sana\xb4a", "sana a", "SANAA", "\u1e62anaa"],
        [
            *(
                "Port-au-Prince",
                "Port\u2011au\u2011Prince",
                "Port\u2013au\u2014Prince",
                "Port au Prince",
                "PortauPrince",
            ),
            *("Port\u2212au\ufe63Prince", "port\u00a0au\u3000prince", "Port\u00adau\u200bPrince"),
        ],
        [
            "Tehran",
            "Teh\u200bran",
            "Tehran\u200e",
            "\ufeffTehran",
            " TEHRAN ",
            "Tehra\u0304n",
            "Tehr\u0101n",
            "\uff34ehran",
        ],
        ["São Paulo", "Sa\u0303o  Paulo", "SAO PAULO", "Sao-Paulo"],
        ["Łódź", "Lodz", "LÓDŹ", "Lo\u0301dz"],
        ["Tromsø", "TROMSO"],
        ["İstanbul", "Istanbul", "ISTANBUL", "\u0131stanbul"],
        ["Düsseldorf", "Dusseldorf"],
        ["Gießen", "Giessen", "GIESSEN"],
        ["Άθήνα", "αθηνα", "ΑΘΗΝΑ"],
        ["طَهران", "طهران"],
    ],
)
def test_spellings_of_one_place_have_one_normal_form(spellings: list[str]) -> None:
    assert len(set(map(normal_place, spellings))) == 1


def test_letters_that_differ_stay_different() -> None:
    # The vowel signs of Hindi and the voicing mark of Japanese are parts of letters, no accents.
    for one, other in (
        ("दिल्ली", "दल्ली"),
        ("がな", "かな"),
        ("Tehran", "Tehran Pars"),
        ("Juba", "Jubail"),
        ("Bern", "Brno"),
    ):
        assert normal_place(one) != normal_place(other)
    for nothing in ("", " ", "\u2014", "\U0001f4b8", "\u200b"):
        assert normal_place(nothing) == ""


@given(written)
@settings(max_examples=500, deadline=None)
def test_the_normal_form_of_a_place_is_that_of_its_clean_text(text: str) -> None:
    assert normal_place(composed(tidy(text))) == normal_place(text)
    assert normal_place(normal_place(text)) == normal_place(text)
