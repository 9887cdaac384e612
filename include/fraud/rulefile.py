"""The shape of a rules file, before anybody asks what it means."""

from __future__ import annotations

import re
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from include.fraud.lists import ListKind

_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")


class Mode(StrEnum):
    """What it means that a rule fires: it counts, it is noted only, or it is not even asked."""

    ALERT = "alert"
    SHADOW = "shadow"
    OFF = "off"


def _parameter(value: object) -> object:
    if isinstance(value, float):
        raise ValueError(f"{value!r}: write the amount as text, such as '30000.00'")
    if isinstance(value, bool):
        return value
    if isinstance(value, int) or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        return Decimal(value)
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text, no number, and neither true nor false")
    return value


Text = Annotated[str, Field(min_length=1)]
Parameter = Annotated[Decimal | str | bool, BeforeValidator(_parameter)]
"""A constant of a rule; a text that reads as a decimal number is that number."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ListShape(_Strict):
    """A list: what it has entries of, and those that it begins with."""

    of: Annotated[ListKind, Field(strict=False)]
    entries: Annotated[tuple[Text, ...], Field(strict=False)]


class RuleShape(_Strict):
    """A rule, see `Rule`; ``says`` and ``when`` are not read yet."""

    id: Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
    says: Text
    when: Text
    parameters: dict[str, Parameter] = {}
    weight: Annotated[int, Field(ge=1, le=10_000)]
    mode: Annotated[Mode, Field(strict=False)]


class FileShape(_Strict):
    """The file; its lists, features and rules are not read yet, so that each of them has its own errors."""

    version: Text
    alert_at: Annotated[int, Field(ge=1)]
    lists: dict[str, Any] = {}
    features: list[Any] = []
    rules: list[Any]
