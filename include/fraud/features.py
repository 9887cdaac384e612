"""Features: what is remembered of a user, a merchant, or a user at a merchant, as the rules' file declares it.

What each of them means, to the last transaction, is written in docs/features.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from include.fraud.expressions import Condition, ConditionError, compile_condition
from include.fraud.vocabulary import MERCHANT, transaction_types

PANES = 60
"""A window has so many panes, which are aligned to 1970-01-01 00:00 UTC; the last is that of the transaction."""

_UNITS = {"minute": 60, "hour": 3600, "day": 86_400}
_WINDOW = re.compile(r"([1-9][0-9]{0,5}) (minute|hour|day)s?")
LONGEST_SECONDS = 30 * 86_400


class Entity(StrEnum):
    """Whose transactions count."""

    USER = "user"
    MERCHANT = "merchant"
    USER_MERCHANT = "user_merchant"


class Function(StrEnum):
    """What is made of the transactions in the window."""

    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"
    MAX = "max"
    STDDEV = "stddev"
    DISTINCT = "distinct"
    FIRST_TIME = "first_time"
    RATIO_TO_MEAN = "ratio_to_mean"
    SECONDS_SINCE_LAST = "seconds_since_last"
    SPEED_KMH = "speed_kmh"


class Member(StrEnum):
    """A field whose values are told apart."""

    MERCHANT = "merchant"
    LOCATION = "location"
    CHANNEL = "channel"
    USER = "user"

    @property
    def column(self) -> str:
        """Its column in the transactions' table."""
        return f"{self}_id" if self in (Member.MERCHANT, Member.USER) else str(self)


class MarkKind(StrEnum):
    """What an analyst said of a transaction."""

    CONFIRMED = "confirmed"
    FALSE_ALARM = "false_alarm"


OF_AMOUNTS = frozenset({Function.SUM, Function.MEAN, Function.MAX, Function.STDDEV, Function.RATIO_TO_MEAN})
OF_MEMBERS = frozenset({Function.DISTINCT, Function.FIRST_TIME, Function.COUNT})
OF_NEWEST = frozenset({Function.SECONDS_SINCE_LAST, Function.SPEED_KMH})


def _seconds(value: object) -> object:
    if not isinstance(value, str):
        return value
    written = _WINDOW.fullmatch(value)
    if written is None:
        raise ValueError(f"{value!r} is no window: write '10 minutes', '24 hours' or '30 days'")
    return int(written[1]) * _UNITS[written[2]]


Window = Annotated[int, BeforeValidator(_seconds), Field(ge=60, le=LONGEST_SECONDS, multiple_of=60)]


class Feature(BaseModel):
    """A feature as it is declared; ``window`` in seconds, ``filter`` a condition over the transaction's own fields.

    With ``marked`` it counts transactions that were called so, by when that became known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    entity: Entity
    function: Function
    window: Window
    of: Member | None = None
    filter: str | None = None
    marked: MarkKind | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.function in OF_MEMBERS and self.function is not Function.COUNT and self.of is None:
            raise ValueError(f"{self.function} needs `of`: whose values are told apart")
        if self.function not in OF_MEMBERS and self.of is not None:
            raise ValueError(f"{self.function} takes no `of`")
        if self.of is not None and self.of in self.entity.split("_"):
            raise ValueError(f"a {self.entity} has one {self.of} only")
        if self.marked is not None and (self.function is not Function.COUNT or self.of or self.filter is not None):
            raise ValueError("with `marked` there is only count, without `of` and `filter`")
        return self

    @property
    def type(self) -> str:
        """``boolean`` or ``number``, as conditions know them."""
        return "boolean" if self.function is Function.FIRST_TIME else "number"


@cache
def filter_condition(text: str) -> Condition:
    """The condition of a filter, which knows the transaction's own fields alone.

    Raises:
        ConditionError: it is none, or makes no sense.
    """
    own = {name: type_ for name, type_ in transaction_types().items() if not name.startswith(MERCHANT)}
    return compile_condition(text, own, {}, {})


def parse_features(section: list[Any], note: Callable[..., None]) -> tuple[Feature, ...]:
    """Read the section ``features`` of a rules file; ``note(reason, *part)`` is told what is wrong with which part."""
    features = []
    for number, raw in enumerate(section):
        called = raw.get("name", number) if isinstance(raw, dict) else number
        try:
            feature = Feature.model_validate(raw)
        except ValidationError as error:
            for one in error.errors():
                reason = "there is no such key" if one["type"] == "extra_forbidden" else one["msg"]
                place = ".".join(map(str, one["loc"]))
                note(f"{called}: {place}{': ' * bool(place)}{reason}", number, *one["loc"])
            continue
        try:
            if feature.filter is not None:
                filter_condition(feature.filter)
        except ConditionError as error:
            note(f"{called}: its filter: {error}", number, "filter")
        features.append(feature)
    return tuple(features)
