"""Whether what should flow does: every part of the stores and of Airflow is asked, and what is wrong is listed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from include.airflow_api import AirflowReader
from include.assets.states import AssetState, Observation
from include.domains import DOMAINS
from include.fraud.ledger import reached
from include.settings import Settings
from include.status import lag, tasks, warehouse
from include.status.asking import SECONDS, ask
from include.status.assets import asset_states, from_events, ingested, judged, overdue_problems
from include.status.lag import Delay, Lag
from include.status.layers import LayerPart, layer_parts
from include.status.problems import Problem
from include.status.stores import Stores
from include.status.tasks import FailedTask
from include.status.times import age
from include.status.waiting import Waiting, behind_open_transactions, in_quarantine, problem

NO_ANSWER = "no_answer"


@dataclass(frozen=True, slots=True)
class Flow:
    """What was found, of one part or of all.

    ``newest_verdict`` is when the fraud stream last committed one, None when it never did or nobody knows. ``problems``
    are all that is wrong: what should flow and does not, and what could not be asked. ``seen`` is what is known of
    single assets, ``assets`` how each of them is. ``warnings`` are for people to look at, and hold nothing up.
    """

    layers: tuple[LayerPart, ...] = ()
    lags: tuple[Lag, ...] = ()
    newest_verdict: datetime | None = None
    waiting: tuple[Waiting, ...] = ()
    failed_tasks: tuple[FailedTask, ...] = ()
    problems: tuple[Problem, ...] = ()
    seen: Mapping[str, Observation] = field(default_factory=dict)
    assets: tuple[AssetState, ...] = ()
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As plain values; times in ISO 8601, UTC, ages in seconds."""
        return {
            "layers": [asdict(part) | {"updated": _iso(part.updated)} for part in self.layers],
            "behind": [asdict(one) for one in self.lags],
            "newest_verdict": self.newest_verdict
            and {"at": _iso(self.newest_verdict), "seconds": age(self.newest_verdict.timestamp())},
            "waiting": [one.as_json() for one in self.waiting],
            "assets": [one.as_json() for one in self.assets],
            "failed_tasks": [asdict(one) | {"since": _iso(one.since)} for one in self.failed_tasks],
            "warnings": list(self.warnings),
            "problems": [asdict(one) for one in self.problems],
        }


def flow(
    settings: Settings,
    *,
    airflow: AirflowReader | None = None,
    task_logs: Path | None = None,
    seconds: float = SECONDS,
    kafka: Mapping[str, Any] | None = None,
) -> Flow:
    """Ask the stores, and Airflow if ``airflow`` is given, all at the same time, for ``seconds`` at most.

    ``task_logs`` is the folder of Airflow's task logs, ``kafka`` is as `Stores` has it. Nothing is raised: what cannot
    be asked is a problem of its own.
    """
    questions = _questions(Stores(settings, kafka))
    if airflow is not None:
        questions["airflow"] = partial(_airflow, airflow, task_logs)
        questions["events of assets"] = partial(_events, airflow)
    return _asked(questions, seconds)


def asset_flow(stores: Stores, seen: Mapping[str, Observation], seconds: float = SECONDS) -> Flow:
    """Ask only what tells how the assets are, of which events told what is ``seen``; as `flow` does otherwise."""
    return _asked(_asset_questions(stores), seconds, Flow(seen=seen))


def _asked(questions: Mapping[str, Callable[[], Flow]], seconds: float, *known: Flow) -> Flow:
    answers, reasons = ask(questions, seconds)
    found = joined([*known, *answers.values()])
    silent = tuple(Problem(NO_ANSWER, name, text) for name, text in reasons.items())
    assets = tuple(asset_states(found.seen, found.lags, found.layers))
    return joined([found, Flow(problems=(*silent, *_late(found.lags), *overdue_problems(assets)), assets=assets)])


def joined(parts: Iterable[Flow]) -> Flow:
    """Several parts as one."""
    parts = list(parts)
    verdicts = [part.newest_verdict for part in parts if part.newest_verdict]
    return Flow(
        tuple(one for part in parts for one in part.layers),
        tuple(one for part in parts for one in part.lags),
        max(verdicts, default=None),
        tuple(one for part in parts for one in part.waiting),
        tuple(one for part in parts for one in part.failed_tasks),
        tuple(one for part in parts for one in part.problems),
        {name: known for part in parts for name, known in part.seen.items()},
        tuple(one for part in parts for one in part.assets),
        tuple(one for part in parts for one in part.warnings),
    )


def _questions(stores: Stores) -> dict[str, Callable[[], Flow]]:
    layers: Mapping[str, Callable[[], Flow]] = {
        name: partial(_layer, question) for name, question in layer_parts(stores).items()
    }
    return {
        **layers,
        **_asset_questions(stores),
        "newest verdict": partial(_newest_verdict, stores),
        **{
            f"open transactions, {each.name}": partial(_waiting, behind_open_transactions, stores, each)
            for each in DOMAINS.values()
        },
        "quarantine": partial(_waiting, in_quarantine, stores),
        "warehouse": partial(_warehouse, stores),
    }


def _asset_questions(stores: Stores) -> dict[str, Callable[[], Flow]]:
    bronze = {name: question for name, question in layer_parts(stores).items() if name.startswith("bronze/")}
    return {
        **{name: partial(_layer, question) for name, question in bronze.items()},
        **{f"{layer} {name}": partial(_lag, question, stores) for (layer, name), question in lag.QUESTIONS.items()},
        "ingested transactions": partial(_seen, ingested, stores),
        "judged transactions": partial(_seen, judged, stores),
    }


def _layer(question: Callable[[], LayerPart]) -> Flow:
    return Flow(layers=(question(),))


def _lag(question: Callable[[Stores], Delay], stores: Stores) -> Flow:
    delay = question(stores)
    return Flow(lags=(delay.lag,), problems=delay.problems)


def _newest_verdict(stores: Stores) -> Flow:
    with stores.warehouse() as connection:
        return Flow(newest_verdict=reached(connection).newest_verdict)


def _waiting(question: Callable[..., list[Waiting]], *arguments: Any) -> Flow:
    found = question(*arguments)
    return Flow(waiting=tuple(found), problems=tuple(filter(None, map(problem, found))))


def _warehouse(stores: Stores) -> Flow:
    with stores.warehouse() as connection:
        found = tuple(warehouse.problems(connection))
        return Flow(problems=found, warnings=tuple(warehouse.warnings(connection)))


def _airflow(api: AirflowReader, task_logs: Path | None) -> Flow:
    failed, problems = tasks.look(api, task_logs)
    return Flow(failed_tasks=tuple(failed), problems=tuple(problems))


def _events(api: AirflowReader) -> Flow:
    return Flow(seen=from_events(api))


def _seen(question: Callable[[Stores], dict[str, Observation]], stores: Stores) -> Flow:
    return Flow(seen=question(stores))


def _late(lags: Iterable[Lag]) -> list[Problem]:
    return [Problem("behind", f"{one.layer} {one.domain}", one.sentence) for one in lags if one.late]


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
