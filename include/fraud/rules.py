"""The fraud rules: pure functions of one cleaned transaction, configured by a versioned file.

Every rule is asked about every transaction and every rule that fires is returned. A rule that lacks a value it needs
(a merchant nobody described, say) does not fire; the transaction is then judged by the others.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from include.cleaning.places import countries_of, place

RULES_FILE = Path(__file__).parent / "rules.yaml"
RULES_VARIABLE = "PAYLAKE_FRAUD_RULES"
RULE_NAMES = ("high_online_amount", "suspicious_merchant", "risky_location", "huge_amount")
"""The rules, in the order in which a verdict names those that fired."""
ONLINE = "Online"
RISK_LEVELS = frozenset({"Low", "Medium", "High"})


class RulesError(ValueError):
    """The rules file cannot be read or makes no sense; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that fired: its name, a sentence for people, and the values that made it fire.

    The values are JSON; amounts are decimal numbers as text.
    """

    rule: str
    message: str
    values: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """The element that FraudTransaction's column ``evidence`` holds for this rule."""
        return {"rule": self.rule, "message": self.message, "values": self.values}


def _not_a_float(value: object) -> object:
    if isinstance(value, float | bool):
        raise ValueError(f"{value!r}: write the amount as text, such as '30000.00'")
    return value


Amount = Annotated[Decimal, BeforeValidator(_not_a_float), Field(gt=0, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AmountLimit(_Strict):
    """Fires for amounts above ``above`` (in the book currency); the limit itself is still allowed."""

    above: Amount


class SuspiciousMerchants(_Strict):
    """Merchants by id, and the risk levels of MERCHANTS, that are suspicious."""

    merchants: frozenset[Name]
    risk_levels: frozenset[Name]

    @model_validator(mode="after")
    def _levels_exist(self) -> Self:
        unknown = self.risk_levels - RISK_LEVELS
        if unknown:
            raise ValueError(f"risk_levels {sorted(unknown)} are none of {sorted(RISK_LEVELS)}")
        return self


class RiskyLocations(_Strict):
    """Cities in which a card is unlikely to be used by its owner, each as ``City`` or ``City, Country``."""

    cities: tuple[Name, ...]

    @field_validator("cities")
    @classmethod
    def _cities_are_places(cls, cities: tuple[str, ...]) -> tuple[str, ...]:
        for text in cities:
            city, qualifiers = place(text)
            if not city:
                raise ValueError(f"{text!r} names no city")
            if qualifiers and len(countries_of(qualifiers)) != 1:
                raise ValueError(f"{text!r}: what follows the city must be one country")
        return cities

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The cities without their countries, as written in the file."""
        return tuple(text.partition(",")[0].strip() for text in self.cities)

    @cached_property
    def _countries(self) -> dict[str, frozenset[str]]:
        """The countries of each city, by its normal form; none for a city that is risky in whatever country it is."""
        found: dict[str, list[frozenset[str]]] = {}
        for city, qualifiers in map(place, self.cities):
            found.setdefault(city, []).append(countries_of(qualifiers))
        return {
            city: frozenset().union(*countries) if all(countries) else frozenset() for city, countries in found.items()
        }

    def has(self, location: str) -> bool:
        """Whether the location is one of the cities, however it is spelled, and whatever follows it after a comma.

        ``Damascus, Maryland`` is not Damascus in Syria: what follows the city names countries, none of them the city's.
        """
        city, qualifiers = place(location)
        own = self._countries.get(city)
        if own is None:
            return False
        named = countries_of(qualifiers)
        return not own or not named or not own.isdisjoint(named)


class Rules(_Strict):
    """A version of the rules.

    ``version`` is stored with every verdict.
    """

    version: Name
    high_online_amount: AmountLimit
    huge_amount: AmountLimit
    suspicious_merchant: SuspiciousMerchants
    risky_location: RiskyLocations

    @model_validator(mode="after")
    def _limits_differ(self) -> Self:
        if self.huge_amount.above <= self.high_online_amount.above:
            raise ValueError(
                f"huge_amount.above ({self.huge_amount.above}) must be greater than"
                f" high_online_amount.above ({self.high_online_amount.above})"
            )
        return self

    def of_transaction(self, row: Mapping[str, Any]) -> tuple[Fired, ...]:
        """The rules that fire for a cleaned transaction, whatever is known of its merchant.

        ``row`` has the columns of the transactions contract, its amount a Decimal.
        """
        fired = (self._high_online_amount(row), self._risky_location(row), self._huge_amount(row))
        return tuple(one for one in fired if one is not None)

    def of_merchant(self, merchant: str, risk: str | None) -> Fired | None:
        """The rule about merchants, if it fires for this one; ``risk`` is what MERCHANTS states, None if nothing."""
        listed, risky = merchant in self.suspicious_merchant.merchants, risk in self.suspicious_merchant.risk_levels
        if not listed and not risky:
            return None
        why = " and ".join(["is listed"] * listed + [f"has risk level {risk}"] * risky)
        values = {"merchant_id": merchant, "listed": "yes" if listed else "no", "risk_level": risk or "unknown"}
        return Fired("suspicious_merchant", f"merchant {merchant} {why}", values)

    def _high_online_amount(self, row: Mapping[str, Any]) -> Fired | None:
        amount, limit = row.get("amount"), self.high_online_amount.above
        if amount is None or row.get("channel") != ONLINE or amount <= limit:
            return None
        values = {"amount": _plain(amount), "limit": _plain(limit), "channel": ONLINE}
        return Fired("high_online_amount", f"online amount {_plain(amount)} is above {_plain(limit)}", values)

    def _huge_amount(self, row: Mapping[str, Any]) -> Fired | None:
        amount, limit = row.get("amount"), self.huge_amount.above
        if amount is None or amount <= limit:
            return None
        values = {"amount": _plain(amount), "limit": _plain(limit)}
        return Fired("huge_amount", f"amount {_plain(amount)} is above {_plain(limit)}", values)

    def _risky_location(self, row: Mapping[str, Any]) -> Fired | None:
        location = row.get("location")
        if location is None or not self.risky_location.has(location):
            return None
        return Fired("risky_location", f"location {location} is of high risk", {"location": location})


def rules_path() -> Path:
    """The rules file in use: ``$PAYLAKE_FRAUD_RULES``, or the one beside this module."""
    return Path(os.environ.get(RULES_VARIABLE) or RULES_FILE)


def load_rules(path: Path | None = None) -> Rules:
    """Read and check a rules file, by default ``rules_path()``.

    Raises:
        RulesError: the file is missing, is no YAML, or holds something that makes no sense.
    """
    path = path or rules_path()
    try:
        return Rules.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RulesError(f"fraud rules {path}: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise RulesError(f"fraud rules {path}: {problems}") from error


def _plain(amount: Decimal) -> str:
    return f"{amount:f}"
