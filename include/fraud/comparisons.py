"""The yes-or-no questions of a condition: computed over columns, and in a form that can be reasoned about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.fraud.ranges import Among, Below, Both, Logic, Missing, Not, Range
from include.fraud.terms import Term, TermError, applied, constant, held, together
from include.fraud.vocabulary import Digits, Kind

_KERNELS: Mapping[str, Callable[..., Any]] = {
    "=": pc.equal,
    "<>": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_RELATION = " ? "


def literal(value: Decimal | str | bool) -> Term:
    """A constant.

    Raises:
        TermError: a number has more digits than there are.
    """
    if isinstance(value, bool):
        return constant(str(value).lower(), Kind.BOOLEAN, pa.scalar(value))
    if isinstance(value, str):
        return constant(repr(value), Kind.TEXT, pa.scalar(value, pa.string()))
    digits = held(Digits.of(value))
    return constant(f"{value:f}", Kind.NUMBER, pa.scalar(value, digits.arrow), digits)


def boolean(kernel: Callable[..., Any], parts: tuple[Term, ...], key: str, logic: Logic) -> Term:
    """What the kernel answers for the parts; ``logic`` says when."""
    return replace(applied(kernel, parts, key, Kind.BOOLEAN), logic=logic)


def opaque(term: Term) -> Term:
    """The term, if it is a boolean, as a question of its own: nothing else says anything about its answer."""
    if term.kind is not Kind.BOOLEAN:
        return term
    range = replace(term.range, values=frozenset({True, False}))
    return replace(term, range=range, logic=Among(term.key, range, (True,)))


def logic_of(term: Term) -> Logic:
    """When a boolean that is not constant is true."""
    assert term.logic is not None, "no boolean is made without it"  # noqa: S101
    return term.logic


def why(logic: Logic) -> str:
    """What a question that has only one answer is about, in words; empty where it is of several things."""
    test = logic.of if isinstance(logic, Not) else logic
    if isinstance(test, Not | Both) or _RELATION in test.key:
        return ""
    words = "is never missing" if isinstance(test, Missing) and not test.range.missing else str(test.range)
    return f": {test.key} {words}" if words else ""


def compared(operator: str, left: Term, right: Term) -> Term:
    """Whether ``= <> < <= > >=`` holds between two values.

    Raises:
        TermError: they are of two kinds, or booleans that have no order, or numbers with too many digits.
    """
    left, right = _as_moment(left, right.kind), _as_moment(right, left.kind)
    if left.kind != right.kind:
        raise TermError(f"{operator} compares {left.kind} with {right.kind}")
    if left.kind is Kind.BOOLEAN and operator in _TURNED:
        raise TermError(f"{operator} compares booleans, which have no order")
    if left.constant is not None or (right.constant is None and left.key > right.key):
        left, right, operator = right, left, _TURNED.get(operator, operator)
    if right.constant is None:
        # Of two things nothing is asked but how they relate: the one is less, equal or greater.
        values = frozenset({0} if left.key == right.key else {-1, 0, 1})
        related = Range(missing=left.range.missing or right.range.missing, values=values)
        logic = _comparing(operator, f"{left.key}{_RELATION}{right.key}", related, 0)
    else:
        logic = _comparing(operator, left.key, left.range, right.constant.as_py())
    return boolean(_KERNELS[operator], together((left, right)), f"({left.key} {operator} {right.key})", logic)


def among(value: Term, members: Sequence[Term]) -> Term:
    """Whether a value is one of some constants.

    Raises:
        TermError: one of them is no constant, is of another kind, or is none that the value can have.
    """
    members = [_as_moment(member, value.kind) for member in members]
    for member in members:
        if member.constant is None:
            raise TermError(f"in takes constants alone, not {member.key}")
        if member.kind != value.kind:
            raise TermError(f"in compares {value.kind} with {member.kind}")
        if not value.range.has(member.constant.as_py()):
            raise TermError(f"{member.key} can never be: {value.key} {value.range}")
    key = f"({value.key} in {', '.join(sorted(member.key for member in members))})"
    asked, *others = together((value, *members))
    constants = [other.constant.as_py() for other in others if other.constant is not None]
    value_set = pa.array(constants, others[0].constant.type if others[0].constant is not None else None)

    def kernel(values: Any) -> Any:
        return pc.if_else(pc.is_valid(values), pc.is_in(values, value_set), pa.scalar(None, pa.bool_()))

    return boolean(kernel, (asked,), key, Among(value.key, value.range, tuple(constants)))


def missing(value: Term) -> Term:
    """Whether there is no value."""
    found = boolean(pc.is_null, (value,), f"({value.key} is null)", Missing(value.key, value.range))
    return replace(found, range=Range(missing=False))


def _comparing(operator: str, key: str, range: Range, value: Any) -> Logic:
    if operator in ("=", "<>"):
        return Among(key, range, (value,)) if operator == "=" else Not(Among(key, range, (value,)))
    below = Below(key, range, (value, operator in ("<=", ">")))
    return below if operator in ("<", "<=") else Not(below)


def _as_moment(term: Term, kind: Kind) -> Term:
    """A constant text that is compared with dates or timestamps, as one of them."""
    if kind not in (Kind.DATE, Kind.TIMESTAMP) or term.kind is not Kind.TEXT or term.constant is None:
        return term
    text = term.constant.as_py()
    try:
        if kind is Kind.DATE:
            return constant(term.key, kind, pa.scalar(date.fromisoformat(text), pa.date32()))
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise TermError(f"{term.key} is no {kind} in ISO 8601") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return constant(term.key, kind, pa.scalar(moment, pa.timestamp("us", "UTC")))
