"""A back-test in few words, as Markdown: what somebody reads who is to approve rules."""

from __future__ import annotations

from include.backtest.report import BEGINNING, BackTest

MOST_RULES = 50
"""So many rules are shown, those of most new and vanished alerts first."""


def summary(result: BackTest) -> str:
    """What the rules would have said of the period, beside what was said."""
    lines = [
        f"Asked of {result.transactions:,} transactions, scored {_since(result)}until"
        f" {result.until:%Y-%m-%d %H:%M} UTC: {result.alerts.fired:,} alerts, {result.alerts.stored:,} before;"
        f" {result.alerts.new:,} are new, {result.alerts.vanished:,} vanish. Precision"
        f" {_percent(result.alerts.precision)}, recall {_percent(result.recall)}; of {result.frauds:,} known frauds"
        f" {result.caught:,} get an alert, {result.caught_before:,} got one.",
        "",
        "| rule | alerts | stored | new | vanished | on fraud | on genuine |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    ordered = sorted(result.rules.items(), key=lambda one: -(one[1].new + one[1].vanished))
    for rule, alerts in ordered[:MOST_RULES]:
        counts = (alerts.fired, alerts.stored, alerts.new, alerts.vanished, alerts.on_fraud, alerts.on_genuine)
        lines.append(f"| `{rule}` | {' | '.join(f'{count:,}' for count in counts)} |")
    if len(ordered) > MOST_RULES:
        lines += ["", f"{len(ordered) - MOST_RULES:,} more rules change less or nothing."]
    if result.different:
        lines += ["", f"**{result.different:,} verdicts of this very version it does not give again.**"]
    if result.unread:
        lines += ["", f"{result.unread:,} records are refused by today's contract and were left out."]
    return "\n".join(lines)


def _since(result: BackTest) -> str:
    return "" if result.since == BEGINNING else f"from {result.since:%Y-%m-%d %H:%M} "


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"
