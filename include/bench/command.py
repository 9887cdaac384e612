"""The command line of the bench."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Mapping
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from include.bench.backtesting import backtest
from include.bench.figures import Figure, machine
from include.bench.growth import growth
from include.bench.latency import latency
from include.bench.many_rules import many_rules
from include.bench.page import page
from include.bench.scoring import scoring
from include.bench.silver import silver
from include.bench.stack import cold_up, stack
from include.bench.state import state
from include.bench.submit import BenchError, in_environment
from include.bench.traffic import bronze, generate
from include.bench.verdicts import verdicts, verify
from include.local.testing.stores import store_servers
from include.settings import Settings

BENCHES: Mapping[str, Callable[[Settings, int], list[Figure]]] = {
    "generate": generate,
    "bronze": bronze,
    "verdicts": verdicts,
    "scoring": scoring,
    "backtest": backtest,
    "state": state,
    "latency": latency,
    "verify": verify,
    "silver": silver,
    "growth": growth,
}
"""Those on servers of their own."""
STARTING: Mapping[str, Callable[[int], list[Figure]]] = {
    "rules": many_rules,
    "page": page,
    "stack": stack,
    "cold-up": cold_up,
}
"""Those that start what they measure themselves."""
ALONE = frozenset({"cold-up"})
"""Not part of all: it downloads and builds everything anew."""
NAMES = (*BENCHES, *STARTING)


def bench_command(
    name: Annotated[str, typer.Argument(help=f"all, or one of {', '.join(NAMES)}")] = "all",
    rounds: Annotated[int, typer.Option(min=1, help="How often each thing is measured; the median counts.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Measure the hot paths on servers of their own, each beside what it has to reach and beside a peer.

    The exit code is 1 when a figure is not what is wanted, or could not be measured.
    """
    if name not in ("all", *NAMES):
        raise typer.BadParameter(f"there is no bench {name}; there are all, {', '.join(NAMES)}")
    where = machine()
    console = Console(stderr=as_json)
    figures: list[Figure] = []
    failed: dict[str, str] = {}
    for one in [one for one in NAMES if one not in ALONE] if name == "all" else [name]:
        console.print(f"{one}: measuring", style="dim")
        try:
            figures += STARTING[one](rounds) if one in STARTING else _on_servers(BENCHES[one], rounds)
        except BenchError as error:
            # What took an hour to measure is shown all the same.
            failed[one] = str(error)
            console.print(f"{one}: {error}", style="red", markup=False)
    if as_json:
        found = {"machine": where, "figures": [figure.as_json() for figure in figures], "failed": failed}
        typer.echo(json.dumps(found, indent=2))
    else:
        _show(console, where, figures)
    raise typer.Exit(0 if all(figure.met for figure in figures) and not failed else 1)


def _on_servers(measure: Callable[[Settings, int], list[Figure]], rounds: int) -> list[Figure]:
    """Measure on new servers: what one bench has written must not slow the next one down."""
    with store_servers() as environment, in_environment(environment):
        figures = measure(Settings.from_environment(), rounds)
        # Its producers are parts of cycles, and would complain once the servers are gone.
        gc.collect()
        return figures


def _show(console: Console, where: Mapping[str, object], figures: list[Figure]) -> None:
    table = Table(
        "what", "median", "rounds", "wanted", "", title=", ".join(f"{key} {value}" for key, value in where.items())
    )
    for figure in figures:
        sign = "≤" if figure.lower_is_better else "≥"
        wanted = "" if figure.wanted is None else f"{sign} {_number(figure.wanted)}"
        table.add_row(
            figure.name,
            f"{_number(figure.median)} {figure.unit}",
            _rounds(figure.rounds),
            wanted,
            _mark(wanted, figure.within),
        )
        for peer in figure.peers:
            limits = {"≥": peer.least_ratio, "≤": peer.most_ratio}
            asked = ", ".join(f"ratio {sign} {limit}" for sign, limit in limits.items() if limit is not None)
            ratio = f"{_number(peer.median)} {figure.unit}, ratio {figure.ratio(peer):.2f}"
            mark = _mark(asked, figure.reaches(peer))
            table.add_row(f"  beside {peer.name}", ratio, _rounds(peer.rounds), asked, mark)
    console.print(table)


def _mark(wanted: str, reached: bool) -> str:
    return "" if not wanted else "[green]✓[/]" if reached else "[red]✗[/]"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _rounds(values: tuple[float, ...]) -> str:
    return ", ".join(map(_number, values))
