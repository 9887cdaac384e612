"""The flow as tables and lines for people, within 100 columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from include.assets.states import AssetState
from include.status.flow import Flow
from include.status.lag import Lag
from include.status.layers import LayerPart
from include.status.problems import Problem
from include.status.times import age, duration, records


def render(found: Flow, console: Console) -> None:
    """Print the layers that answered, the records that wait, and what is wrong."""
    if found.layers:
        console.print(_layer_table(found.layers, found.lags))
    if found.assets:
        console.print(_asset_table(found.assets))
    if found.newest_verdict:
        console.print(f"The newest verdict is {duration(age(found.newest_verdict.timestamp()))} old.", highlight=False)
    for waiting in found.waiting:
        if not waiting.too_long:  # then it is a problem
            text = f"{waiting.domain}: {waiting.sentence}"
            console.print(text, style="yellow", highlight=False, markup=False, soft_wrap=True)
    for warning in found.warnings:
        console.print(warning, style="yellow", highlight=False, markup=False, soft_wrap=True)
    render_problems(found.problems, console)


def render_problems(problems: Iterable[Problem], console: Console) -> None:
    """Print what is wrong; what is said of several parts, once."""
    subjects: dict[str, list[str]] = defaultdict(list)
    for problem in problems:
        subjects[problem.message].append(problem.subject)
    for message, about in subjects.items():
        console.print(f"✗ {'; '.join(about)}: {message}", style="red", highlight=False, markup=False, soft_wrap=True)


def _layer_table(parts: Iterable[LayerPart], lags: Iterable[Lag]) -> Table:
    """Rows, age and delay of each part of each layer."""
    behind = {(lag.layer, lag.domain): lag for lag in lags}
    table = Table("layer", "name", title="Layers", title_justify="left")
    table.add_column("rows", justify="right")
    table.add_column("last update", justify="right")
    table.add_column("behind the layer before")
    previous = ""
    for part in parts:
        layer, previous = ("" if part.layer == previous else part.layer), part.layer
        rows = f"{part.rows:,}" if part.exact else f"about {part.rows:,}"
        updated = f"{duration(age(part.updated.timestamp()))} ago" if part.updated else "-"
        table.add_row(layer, part.name, rows, updated, _behind(part, behind))
    return table


def _asset_table(assets: Iterable[AssetState]) -> Table:
    """What data each asset holds, since when, and whether its inputs hold newer ones."""
    table = Table("asset", "data", title="Assets", title_justify="left")
    table.add_column("new", justify="right")
    table.add_column("freshness")
    for one in assets:
        updated = f"{duration(age(one.updated.timestamp()))} ago" if one.updated else "-"
        table.add_row(one.name, one.version.short if one.version else "-", updated, _freshness(one))
    return table


def _freshness(one: AssetState) -> str:
    """Empty for a source that may be quiet, ``-`` for what nobody knows."""
    text = f"stale: {one.waiting:,} wait" if one.waiting else "stale" if one.stale else ""
    if one.overdue:
        text = f"[red]{text}{', ' if text else ''}overdue ({duration(one.limit_seconds)})[/]"
    elif not text and one.limit_seconds is not None:
        text = "-" if one.seconds is None else "up to date"
    return f"{text}, made by other {' and '.join(one.changed)}" if one.changed else text


def _behind(part: LayerPart, lags: dict[tuple[str, str], Lag]) -> str:
    lag = lags.get((part.layer, part.domain or ""))
    if lag is None:
        return "" if part.domain is None else "?"
    if not lag.records:
        return "0"
    text = records(lag.records) + ("" if lag.seconds is None else f", {duration(lag.seconds)}")
    return f"[red]{text}[/]" if lag.late else text
