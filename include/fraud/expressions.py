"""Conditions of fraud rules: SQL expressions, checked against the types of their names, compiled to Arrow's kernels.

The language: names, parameters, texts in single quotes, exact decimal numbers, ``true`` and ``false``; ``and or not``,
``= <> < <= > >=``, ``between``, ``in (constants)``, ``is [not] null``; ``+ - * /``; ``abs lower upper length coalesce
starts_with(text, 'prefix') listed(name, 'list')``. A part that lacks a value it needs is not known (SQL's null), and
so may be the condition: it does not hold then. Dates and timestamps are compared with texts in ISO 8601, UTC.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import partial
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, ParseError, SqlglotError

from include.fraud.comparisons import among, boolean, compared, literal, logic_of, missing, opaque, why
from include.fraud.ranges import Among, Both, Logic, Not, Range, either, possible
from include.fraud.terms import Batch, Column, Membership, Term, TermError, applied, arithmetic, together
from include.fraud.vocabulary import Digits, Kind, Type

MOST_CHARACTERS = 5_000
"""The longest condition, in characters."""

Constant = Decimal | str | bool
"""The value of a parameter."""


class ConditionError(ValueError):
    """A condition cannot be meant; the message says which part of it and why."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition: the names and the lists that it needs, and the parameters that are in it."""

    names: frozenset[str]
    lists: frozenset[str]
    parameters: frozenset[str]
    _term: Term

    def holds(self, columns: Mapping[str, Column] | Batch, has: Membership | None = None) -> pa.BooleanArray:
        """For which rows it holds; null where that is not known.

        Conditions that are asked of one `Batch` share what they have in common. ``has`` says what the lists hold, for
        columns that are not a `Batch` yet.
        """
        return (columns if isinstance(columns, Batch) else Batch(columns, has)).value(self._term)


def compile_condition(
    text: str,
    types: Mapping[str, Type],
    lists: Mapping[str, str] = MappingProxyType({}),
    parameters: Mapping[str, Constant] = MappingProxyType({}),
) -> Condition:
    """Check a condition and compile it.

    ``lists`` has the name of the column whose values each list holds.

    Raises:
        ConditionError: it is no expression of the language, names what there is not, mixes types, or it or a part of
            it can never hold, or always holds.
    """
    if len(text) > MOST_CHARACTERS:
        raise ConditionError(f"has more than {MOST_CHARACTERS} characters")
    try:
        compiler = _Compiler(types, lists, parameters)
        term = compiler.condition(sqlglot.parse_one(text))
    except ParseError as error:
        first = error.errors[0] if error.errors else {"highlight": "", "description": str(error)}
        near = f" near {first['highlight']!r}" if first["highlight"] else ""
        reason = re.sub(r"<class '.*?(\w+)'>", r"\1", first["description"])
        raise ConditionError(f"is no expression{near}: {reason}") from error
    except SqlglotError as error:
        raise ConditionError(f"is no expression: {error}") from error
    except RecursionError as error:
        raise ConditionError("is nested too deep") from error
    return Condition(term.names, term.lists, frozenset(compiler.used), term)


_COMPARISONS = {exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
_ARITHMETIC = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}
_FUNCTIONS = "abs, lower, upper, length, coalesce, starts_with and listed"
_OPERANDS: Mapping[type[exp.Expr], set[str]] = {
    exp.Column: {"this", "table"},
    exp.Coalesce: {"this", "expressions"},
    exp.Anonymous: {"this", "expressions"},
    exp.Between: {"this", "low", "high"},
    exp.In: {"this", "expressions"},
    exp.Literal: {"this", "is_string"},
}
_NOT_NEGATIVE = Range().above((Decimal(0), False))


class _Compiler:
    def __init__(self, types: Mapping[str, Type], lists: Mapping[str, str], parameters: Mapping[str, Constant]) -> None:
        self._types = types
        self._lists = lists
        self._parameters = parameters
        self.used: set[str] = set()
        self._handlers: dict[type[exp.Expr], Callable[[Any], Term]] = {
            exp.Paren: lambda node: self._term(node.this),
            exp.Literal: self._literal,
            exp.Boolean: lambda node: literal(bool(node.this)),
            exp.Null: self._null,
            exp.Column: self._name,
            exp.And: partial(self._connected, "and", pc.and_kleene, Both),
            exp.Or: partial(self._connected, "or", pc.or_kleene, either),
            exp.Not: self._not,
            exp.Between: self._between,
            exp.In: lambda node: among(self._term(node.this), [self._term(one) for one in node.expressions]),
            exp.Is: self._is,
            exp.Neg: lambda node: self._function("-", pc.negate, Kind.NUMBER, node),
            exp.Abs: lambda node: self._function("abs", pc.abs, Kind.NUMBER, node, _NOT_NEGATIVE),
            exp.Lower: lambda node: self._function("lower", pc.utf8_lower, Kind.TEXT, node),
            exp.Upper: lambda node: self._function("upper", pc.utf8_upper, Kind.TEXT, node),
            exp.Length: self._length,
            exp.Coalesce: self._coalesce,
            exp.StartsWith: self._starts_with,
            exp.Anonymous: self._anonymous,
            **dict.fromkeys(_COMPARISONS, self._comparison),
            **dict.fromkeys(_ARITHMETIC, self._arithmetic),
        }

    def condition(self, node: exp.Expr) -> Term:
        """A part that has to be true or false, and may be either."""
        term = self._term(node)
        if term.kind is not Kind.BOOLEAN:
            raise _error(node, f"is a {term.kind}, not a condition")
        if term.constant is not None:
            answers = {True: "always holds", False: "can never hold", None: "is never known"}
            raise _error(node, f"{answers[term.constant.as_py()]}, whatever the transaction")
        logic = logic_of(term)
        if not possible(logic, (True,)):
            raise _error(node, "can never hold" + why(logic))
        if not possible(logic, (False, None)):
            raise _error(node, "always holds" + why(logic))
        return term

    def _term(self, node: exp.Expr) -> Term:
        try:
            term = self._handler(node)(node)
            if term.constant is not None and not term.constant.is_valid:
                raise TermError("is never known")
        except TermError as error:
            raise _error(node, str(error)) from error
        return self._enumerated(term)

    def _handler(self, node: exp.Expr) -> Callable[[Any], Term]:
        handler = self._handlers.get(type(node))
        if handler is None:
            if isinstance(node, exp.Func):
                raise TermError(f"there is no function {node.sql_name().lower()}; there are {_FUNCTIONS}")
            raise TermError(f"{node.key} is not part of the language")
        operands = _OPERANDS.get(type(node), {"this", "expression"})
        if odd := [name for name, value in node.args.items() if value and name not in operands]:
            raise TermError(f"{node.key} with {', '.join(odd)} is not part of the language")
        return handler

    def _enumerated(self, term: Term) -> Term:
        """The term with the values that it really has, if it is of one name that has only a few."""
        known = self._types[min(term.names)] if len(term.names) == 1 and not term.lists else None
        asked = isinstance(term.logic, Among) and term.logic.key == term.key
        if known is None or known.range.values is None or term.key in self._types or not (term.logic is None or asked):
            return term
        inputs = [*known.range.values, *([None] if known.range.missing else [])]
        found = set(Batch({min(term.names): pa.array(inputs, known.arrow)}).value(term).to_pylist())
        found_range = Range(missing=None in found, values=frozenset(found - {None}))
        logic = replace(term.logic, range=found_range) if isinstance(term.logic, Among) else None
        return replace(term, range=found_range, logic=logic)

    def _literal(self, node: exp.Literal) -> Term:
        if node.is_string:
            return literal(node.this)
        try:
            return literal(Decimal(node.this))
        except InvalidOperation as error:
            raise TermError(f"{node.this} is no decimal number") from error

    def _null(self, _: exp.Null) -> Term:
        raise TermError("nothing compares with null; a part is missing where it is null")

    def _name(self, node: exp.Column) -> Term:
        name = f"{node.table}.{node.name}" if node.table else node.name
        if name in self._parameters:
            self.used.add(name)
            return literal(self._parameters[name])
        known = self._types.get(name)
        if known is None:
            if isinstance(node.this, exp.Identifier) and node.this.quoted:
                raise TermError(f"there is no name {name}; a text stands in single quotes")
            raise TermError(f"there is no name {name}{_near(name, [*self._types, *self._parameters])}")

        def compute(batch: Batch) -> pa.Array:
            column = batch.column(name)
            return column if column.type == known.arrow else column.cast(known.arrow)

        logic = Among(name, known.range, (True,)) if known.kind is Kind.BOOLEAN else None
        return Term(name, known.kind, compute, known.range, known.digits, frozenset({name}), logic=logic)

    def _connected(
        self, word: str, kernel: Callable[..., Any], connect: Callable[[Logic, Logic], Logic], node: exp.Connector
    ) -> Term:
        left, right = self.condition(node.left), self.condition(node.right)
        return boolean(
            kernel, (left, right), f"({left.key} {word} {right.key})", connect(logic_of(left), logic_of(right))
        )

    def _not(self, node: exp.Not) -> Term:
        # Two words of SQL, ``not in`` and ``is not null``, are one question here: that is what an error is about.
        inner = self._term(node.this) if isinstance(node.this, exp.Is) else self.condition(node.this)
        return boolean(pc.invert, (inner,), f"(not {inner.key})", Not(logic_of(inner)))

    def _comparison(self, node: exp.Binary) -> Term:
        return compared(_COMPARISONS[type(node)], self._term(node.left), self._term(node.right))

    def _between(self, node: exp.Between) -> Term:
        value, low, high = (self._term(node.args[part]) for part in ("this", "low", "high"))
        if value.constant is not None:
            raise TermError("asks of a constant whether it is between others")
        above, below = compared(">=", value, low), compared("<=", value, high)
        logic = Both(logic_of(above), logic_of(below))
        return boolean(pc.and_kleene, (above, below), f"({above.key} and {below.key})", logic)

    def _is(self, node: exp.Is) -> Term:
        if not isinstance(node.expression, exp.Null):
            raise TermError("is asks for null alone; a boolean is a condition by itself")
        return missing(self._term(node.this))

    def _arithmetic(self, node: exp.Binary) -> Term:
        operator, left, right = _ARITHMETIC[type(node)], self._term(node.left), self._term(node.right)
        if not left.kind == right.kind == Kind.NUMBER:
            raise TermError(f"{operator} takes two numbers, not {left.kind} and {right.kind}")
        return arithmetic(operator, left, right)

    def _function(
        self, name: str, kernel: Callable[..., Any], kind: Kind, node: exp.Expr, range: Range | None = None
    ) -> Term:
        """A function of one value that keeps its kind and its digits."""
        value = self._term(node.this)
        if value.kind != kind:
            raise TermError(f"{name} takes a {kind}, not a {value.kind}")
        return applied(kernel, (value,), f"{name}({value.key})", kind, range, value.digits)

    def _length(self, node: exp.Length) -> Term:
        value = self._term(node.this)
        if value.kind is not Kind.TEXT:
            raise TermError(f"length takes a text, not a {value.kind}")
        digits = Digits(10, 0)

        def kernel(texts: Any) -> Any:
            return pc.cast(pc.utf8_length(texts), digits.arrow)

        return applied(kernel, (value,), f"length({value.key})", Kind.NUMBER, _NOT_NEGATIVE, digits)

    def _coalesce(self, node: exp.Coalesce) -> Term:
        parts = tuple(map(self._term, (node.this, *node.expressions)))
        if len({part.kind for part in parts}) > 1:
            raise TermError(f"coalesce mixes {' and '.join(dict.fromkeys(part.kind for part in parts))}")
        parts = together(parts)
        key = f"coalesce({', '.join(part.key for part in parts)})"
        found = applied(pc.coalesce, parts, key, parts[0].kind, digits=parts[0].digits)
        return opaque(replace(found, range=Range(missing=all(part.range.missing for part in parts))))

    def _starts_with(self, node: exp.StartsWith) -> Term:
        value, prefix = self._term(node.this), self._term(node.expression)
        if value.kind is not Kind.TEXT or prefix.kind is not Kind.TEXT or prefix.constant is None:
            raise TermError(f"starts_with takes a text and a constant text, not {value.kind} and {prefix.kind}")
        kernel = partial(pc.starts_with, pattern=prefix.constant.as_py())
        return opaque(applied(kernel, (value,), f"starts_with({value.key}, {prefix.key})", Kind.BOOLEAN))

    def _anonymous(self, node: exp.Anonymous) -> Term:
        if str(node.this).lower() != "listed":
            raise TermError(f"there is no function {node.this}; there are {_FUNCTIONS}")
        if len(node.expressions) != 2:
            raise TermError("listed takes a name and a list")
        value, name = self._term(node.expressions[0]), node.expressions[1]
        if not isinstance(name, exp.Literal) or not name.is_string:
            raise TermError("the list stands in single quotes")
        column = self._lists.get(name.this)
        if column is None:
            raise TermError(f"there is no list {name.this}{_near(name.this, self._lists)}")
        if value.key != column:
            raise TermError(f"the list {name.this} has values of {column}, not of {value.key}")
        key, list_name = f"listed({column}, {name.this})", name.this
        found = Term(
            key,
            Kind.BOOLEAN,
            lambda batch: batch.listed(list_name, column),
            Range(missing=value.range.missing),
            names=value.names,
            lists=frozenset({list_name}),
        )
        return opaque(found)


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 3)
    return f"; near it: {', '.join(near)}" if near else ""


def _error(node: exp.Expr, reason: str) -> ConditionError:
    text = node.sql(unsupported_level=ErrorLevel.IGNORE, comments=False)
    starts = [part.meta["start"] for part in node.find_all(exp.Identifier, exp.Literal) if "start" in part.meta]
    place = f" (character {min(starts) + 1})" if starts else ""
    return ConditionError(f"{text if len(text) <= 80 else text[:79] + '…'}{place}: {reason}")
