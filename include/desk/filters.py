"""Which frauds are meant."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Filter:
    """Frauds that got their verdict from ``since`` until before ``until``, and are of these; None lets all pass.

    ``country`` is the merchant's, two letters.
    """

    since: datetime
    until: datetime
    rule: str | None = None
    user_id: str | None = None
    merchant_id: str | None = None
    channel: str | None = None
    country: str | None = None

    def parameters(self) -> dict[str, Any]:
        """The values for ``include/sql/desk/chosen.sql``."""
        return asdict(self)
