"""What a rule says to people: a sentence with the names of values in braces."""

from __future__ import annotations

from dataclasses import dataclass
from string import Formatter


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence; ``template`` has a ``%s`` for each of ``names``, which may repeat."""

    template: str
    names: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Sentence:
        """Read ``online amount {amount} is above {limit}``; a brace itself is doubled.

        Raises:
            ValueError: a brace is not closed, or there is more in it than a name.
        """
        template, names = "", []
        for literal, name, shape, conversion in Formatter().parse(text):
            template += literal.replace("%", "%%")
            if name is None:
                continue
            if not name or shape or conversion:
                raise ValueError("there is a name, and nothing else, between two braces")
            template += "%s"
            names.append(name)
        return cls(template, tuple(names))
