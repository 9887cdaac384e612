"""Countries, in any common spelling, to ISO 3166-1."""

from __future__ import annotations

import csv
import re
import unicodedata
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypedDict

import pycountry

from include.cleaning.errors import CleaningError
from include.cleaning.placeholders import is_placeholder
from include.cleaning.text import WITHOUT_APOSTROPHES, shown

# Spellings in daily use that neither library knows, or country_converter only as part of a pattern.
_ALIASES = {
    "america": "US",
    "holland": "NL",
    "ivory coast": "CI",
    "northern ireland": "GB",
    "scotland": "GB",
    "turkey": "TR",
    "wales": "GB",
}
# Words that may stand in any country's name without telling one from another.
_NEUTRAL_WORDS = frozenset(
    {"and", "federal", "federation", "kingdom", "of", "people", "peoples", "rep", "republic", "state", "states", "the"}
)

# A code written as initials, ``u.s.a.`` or ``U K``. With other marks they are other words: ``D/K``, ``c/o``.
_INITIALS = re.compile("(?:[a-z][. ]*){2,3}", re.IGNORECASE)


class CountryColumns(TypedDict):
    """What a country becomes: ISO 3166-1 alpha-2 code and short name."""

    country_code: str
    country: str


def country_columns(text: str) -> CountryColumns:
    """The country that ``text`` names: a code (alpha-2, alpha-3, numeric) or a name, official, short or common.

    Strict: a text that merely contains a country's name is none, and no placeholder is one. ``NA``, the code of
    Namibia, is a country only when nothing stands around or between its letters; ``N/A`` and ``n.a.`` are none.

    Raises:
        CleaningError: ``unknown_country``; also for what ISO 3166-1 does not list, such as Kosovo.
    """
    code = _code(text)
    if code is None:
        raise CleaningError("unknown_country", f"{shown(text)} is no country of ISO 3166-1")
    return {"country_code": code, "country": _names()[code]}


@lru_cache(maxsize=16_384)
def _code(text: str) -> str | None:
    if is_placeholder(text) and text.casefold() != "na":
        return None
    plain = _plain(text)
    found = _exact().get(plain) or _ALIASES.get(plain)
    if not found and _INITIALS.fullmatch(unicodedata.normalize("NFKC", text)):
        found = _exact().get(plain.replace(" ", ""))
    return found or _by_pattern(text, plain)


def _plain(text: str) -> str:
    """Case, accents, punctuation and a leading "the" set aside."""
    spelled = text.replace("&", " and ").translate(WITHOUT_APOSTROPHES)
    marks_apart = unicodedata.normalize("NFKD", spelled).casefold()
    letters = "".join(c for c in marks_apart if not unicodedata.combining(c))
    words = re.sub(r"[\W_]+", " ", letters.replace(".", "")).split()
    return " ".join(words[1:] if len(words) > 1 and words[0] == "the" else words)


@cache
def _names() -> dict[str, str]:
    return {country.alpha_2: country.name for country in pycountry.countries}


@cache
def _exact() -> dict[str, str]:
    """Plain spelling to alpha-2, of all that pycountry lists; codes win over names."""
    spellings: dict[str, str] = {}
    for country in pycountry.countries:
        for spelling in (country.alpha_2, country.alpha_3, country.numeric):
            spellings[_plain(spelling)] = country.alpha_2
    for country in pycountry.countries:
        for name in _listed_names(country):
            spellings.setdefault(_plain(name), country.alpha_2)
    return spellings


def _listed_names(country: Any) -> list[str]:
    listed = (country.name, getattr(country, "official_name", None), getattr(country, "common_name", None))
    names = [name for name in listed if name]
    # "Korea, Republic of" is also "Republic of Korea".
    return names + [" ".join(reversed(name.split(", ", 1))) for name in names if ", " in name]


def _by_pattern(text: str, plain: str) -> str | None:
    """The country whose pattern, and no other's, is found in ``text``, if all the words are that country's."""
    matches = [code for code, pattern in _patterns() if pattern.search(text)]
    if len(matches) != 1 or matches[0] not in _names():
        return None
    return matches[0] if set(plain.split()) <= _words(matches[0]) | _NEUTRAL_WORDS else None


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((code, re.compile(pattern, re.IGNORECASE)) for code, pattern, _ in _converter_rows())


@cache
def _words(code: str) -> frozenset[str]:
    """The words of a country's names, and those that its patterns are made of."""
    words: set[str] = set()
    for listed in _listed_names(pycountry.countries.get(alpha_2=code)):
        words.update(_plain(listed).split())
    for row_code, pattern, names in _converter_rows():
        if row_code == code:
            words.update(_plain(names).split())
            words.update(re.findall(r"[a-z]{2,}", _literals(pattern)))
    return frozenset(words)


def _literals(pattern: str) -> str:
    """What a pattern spells out, plain; ``u\\.?k\\.?`` spells uk."""
    spelled = re.sub(r"\\\.\?|\\s\?", "", pattern)
    return _plain(re.sub(r"\\[a-zA-Z]|[?(){}\[\]|.^$*]", " ", spelled))


@cache
def _converter_rows() -> tuple[tuple[str, str, str], ...]:
    """Alpha-2, pattern and names of each country that country_converter knows today.

    Its table is read without its class, which costs each Spark worker two seconds for pandas and, under pandas 3.1,
    takes Namibia's code NA for a missing value and fails.
    """
    package = find_spec("country_converter")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("country_converter is not installed")
    rows = []
    with Path(package.origin).with_name("country_data.tsv").open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table, delimiter="\t"):
            code = re.sub(r"\W", "", row["ISO2"].split("|")[0])
            if code and not row["obsolete"]:
                rows.append((code, row["regex"], f"{row['name_short']} {row['name_official']}"))
    return tuple(rows)
