"""Why a record was rejected."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One way in which a record breaks its contract.

    ``field`` is None where the record as a whole is meant. ``code`` is short snake_case, to count by; ``message`` is
    for people and holds only characters that PostgreSQL and a terminal take.
    """

    field: str | None
    code: str
    message: str

    def as_dict(self) -> dict[str, str | None]:
        """The reason as JSON, for the quarantine table."""
        return {"field": self.field, "code": self.code, "message": self.message}
