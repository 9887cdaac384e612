"""Ages and numbers, and how they are shown."""

from __future__ import annotations

import time


def age(since: float) -> float:
    """Seconds since a Unix time; none for one in the future, for clocks differ."""
    return round(max(0.0, time.time() - since), 1)


def duration(seconds: float | None) -> str:
    """A time in its two largest units, such as ``2 h 5 min``; ``-`` for None."""
    if seconds is None:
        return "-"
    days, rest = divmod(int(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    shown = [f"{value} {unit}" for value, unit in parts if value][:2]
    return " ".join(shown) or "0 s"


def records(number: int) -> str:
    """A number of records, such as ``1 record`` or ``1,234 records``."""
    return f"{number:,} record" + ("" if number == 1 else "s")
