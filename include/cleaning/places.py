"""Places: one form in which two spellings of a place are compared, and the countries that an address names."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import NamedTuple

import pycountry

from include.cleaning.countries import country_columns
from include.cleaning.errors import CleaningError
from include.cleaning.invisible import visible
from include.cleaning.text import WITHOUT_APOSTROPHES

# Letters with a stroke or of two letters, which Unicode does not take apart.
_PLAIN_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th"}
)
_SEPARATORS = re.compile("[,;/|(\u060c\u3001\uff0c\uff1b\uff0f\uff08]")
_DIGITS = re.compile(r"\d+")


class Place(NamedTuple):
    """A place as it was written: the city in the form in which places are compared, and what follows it, if anything.

    ``Tehran, Tehran Province, Iran`` is the city ``tehran`` with ``Tehran Province`` and ``Iran`` after it.
    """

    city: str
    qualifiers: tuple[str, ...]


def normal_place(name: str) -> str:
    """The form in which two spellings of a place are compared: its letters and digits, folded.

    Composition, case, accents, apostrophes, dashes, spaces, all other punctuation and what is invisible do not count:
    ``Sana'a``, ``SANAA`` and ``Ṣana-a`` are one. Empty where there is neither a letter nor a digit.
    """
    if name.isascii():
        return "".join(filter(str.isalnum, name.lower()))
    apart = unicodedata.normalize("NFKD", visible(name).translate(WITHOUT_APOSTROPHES))
    folded = unicodedata.normalize("NFKD", apart.casefold().translate(_PLAIN_LETTERS))
    return "".join(character for character in folded if character.isalnum() or _is_part_of_letter(character))


@lru_cache(maxsize=16_384)
def place(text: str) -> Place:
    """Cut a place at its commas, or what else stands between a city and its country."""
    city, *qualifiers = _SEPARATORS.split(text)
    return Place(normal_place(city), tuple(part for part in qualifiers if normal_place(part)))


@lru_cache(maxsize=16_384)
def countries_of(qualifiers: tuple[str, ...]) -> frozenset[str]:
    """The countries (ISO 3166-1 alpha-2) that what follows a city may name; empty where it names none.

    A part may be a country or a subdivision of one (``Texas``, ``TX``), so there may be several. The last part that
    names any decides; numbers, as in a postcode, name none.
    """
    for part in reversed(qualifiers):
        words = _DIGITS.sub(" ", part).strip(" ).")
        found = _subdivisions().get(normal_place(words), frozenset()) | _country(words)
        if found:
            return found
    return frozenset()


def _is_part_of_letter(character: str) -> bool:
    """Whether a mark makes another letter, as a vowel sign of Hindi does; accents and optional vowel points do not."""
    if unicodedata.category(character)[0] != "M":
        return False
    combining = unicodedata.combining(character)
    # 10 to 36: points of Hebrew and Arabic. From 200: accents, whatever the script.
    return not (10 <= combining <= 36 or combining >= 200)


def _country(text: str) -> frozenset[str]:
    try:
        return frozenset({country_columns(text)["country_code"]})
    except CleaningError:
        return frozenset()


@cache
def _subdivisions() -> Mapping[str, frozenset[str]]:
    """The countries that have a subdivision of a name or code, both in the form in which places are compared."""
    countries: defaultdict[str, set[str]] = defaultdict(set)
    for subdivision in pycountry.subdivisions:
        for spelling in (subdivision.name, subdivision.code.partition("-")[2]):
            countries[normal_place(spelling)].add(subdivision.country_code)
    return {spelling: frozenset(codes) for spelling, codes in countries.items()}
