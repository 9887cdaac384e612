"""A back-test as a picture: alerts by day, and by rule."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from include.backtest.report import BackTest

_BEFORE, _NOW = "#9aa5b1", "#c8102e"


def draw(result: BackTest, path: Path) -> None:
    """Draw stored alerts and those of the rules side by side, into a file whose ending says the format.

    Raises:
        ValueError: there is no such format; OSError: the file cannot be written.
    """
    figure = Figure(figsize=(11, 8), layout="constrained")
    by_day, by_rule = figure.subplots(2)
    days = sorted(result.days)
    places = range(len(days))
    by_day.bar([place - 0.2 for place in places], [result.days[day][0] for day in days], 0.4, color=_BEFORE)
    by_day.bar([place + 0.2 for place in places], [result.days[day][1] for day in days], 0.4, color=_NOW)
    by_day.set_xticks(list(places), [day.isoformat() for day in days], rotation=45, ha="right")
    by_day.set_title(f"Alerts by day: stored (grey), rules {result.rules_version} (red)")
    rules = list(result.rules)[::-1]
    places = range(len(rules))
    by_rule.barh([place + 0.2 for place in places], [result.rules[rule].stored for rule in rules], 0.4, color=_BEFORE)
    by_rule.barh([place - 0.2 for place in places], [result.rules[rule].fired for rule in rules], 0.4, color=_NOW)
    by_rule.set_yticks(list(places), rules)
    by_rule.set_title("Alerts by rule")
    figure.savefig(path)
