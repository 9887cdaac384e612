"""The commands that every kind of stack has, and what their help says.

Standard library only: ``./paylake --docker`` runs where there is no Python environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Command:
    """A command. Lists show the first paragraph of ``help``; ``options`` says the same of what it takes, by name."""

    help: str
    options: Mapping[str, str] = field(default_factory=dict)


COMMANDS = {
    "up": Command(
        "Start the stack; everything it needs is made the first time. Running it again is harmless and quick."
    ),
    "down": Command("Stop the stack. Its data stay."),
    "status": Command(
        "Show each process, each layer and how far it is behind the one before it, what waits, and what is wrong.\n\n"
        "The exit code is 1 when something that should flow does not, or could not be asked; otherwise 0.",
        {"json": "Print one JSON object instead of tables."},
    ),
    "logs": Command(
        "Show the log of a server, of a DAG's newest task, or the fraud events; without a name, list the names.",
        {
            "name": "A server, 'fraud' for the fraud events, or the id of a DAG.",
            "follow": "Go on with what is added, until Ctrl-C.",
            "lines": "How many of the last lines to show.",
        },
    ),
    "env": Command('Print shell exports for your own clients: eval "$(./paylake env)".'),
    "psql": Command("Open the warehouse in psql; further arguments are psql's own."),
    "airflow": Command("Run Airflow's own command line with this stack's configuration; all arguments are Airflow's."),
    "generate": Command("Produce synthetic traffic: reference data, or transactions at a rate of your choice."),
    "verify": Command("Prove from Kafka, MinIO and PostgreSQL themselves that every record is in exactly one place."),
    "quarantine": Command(
        "List and show the records that broke their contract, and drive them through again, or accept that many did."
    ),
    "checks": Command(
        "Show what each check of an asset found when it last looked.\n\n"
        "The exit code is 1 when one that blocks has failed; otherwise 0."
    ),
    "cases": Command("Work on the alerts: look at cases, take one, say what it was, let a rule sleep for somebody."),
    "lists": Command("Show and change the lists that the fraud rules ask: merchants, cities and users."),
    "rules": Command(
        "Show which fraud rules are in use, who promoted them and when, and ask for others to be promoted."
    ),
    "backtest": Command("Try a rules' file on everything that was scored, before it goes live."),
    "materialize": Command("Have Airflow make assets anew, and what is made of them, in order: 'silver/profiles+'."),
    "backfill": Command("Have Airflow make a range of days of an asset anew."),
    "evaluate": Command("Print how good the fraud verdicts are, by the generators' truth or by labelled files."),
}
