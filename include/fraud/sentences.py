"""What a rule says to people: a sentence with the names of values in braces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence; ``parts`` are texts, each with the name of the value that follows it, None where none does."""

    parts: tuple[tuple[str, str | None], ...]

    @classmethod
    def parse(cls, text: str) -> Sentence:
        """Read ``online amount {amount} is above {limit}``; a brace itself is doubled.

        Raises:
            ValueError: a brace is not closed, or there is more in it than a name.
        """
        parts = []
        for literal, name, shape, conversion in Formatter().parse(text):
            if name is not None and (not name or shape or conversion):
                raise ValueError("there is a name, and nothing else, between two braces")
            parts.append((literal, name))
        return cls(tuple(parts))

    @property
    def names(self) -> tuple[str, ...]:
        """The names in it, each once."""
        return tuple(dict.fromkeys(name for _, name in self.parts if name is not None))

    def of(self, values: Mapping[str, str]) -> str:
        """The sentence with these values in the places of their names."""
        return "".join(text + ("" if name is None else values[name]) for text, name in self.parts)
