"""What is wrong, in one line each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that should flow and does not, or could not be asked.

    ``check`` is a short name to count by, ``subject`` the part it is about, ``message`` one line for people.
    """

    check: str
    subject: str
    message: str
