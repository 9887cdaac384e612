"""What has failed in Airflow and not succeeded since, for how long, and with which error; what somebody has paused."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from include import pools
from include.airflow_api import AirflowReader
from include.domains import DOMAINS, GOLD_DOMAINS
from include.status.asking import one_line
from include.status.problems import Problem
from include.status.times import age, duration

FLOW_DAGS = (
    *(f"{layer}_{name}" for layer in ("bronze", "silver") for name in DOMAINS),
    *(f"gold_{name}" for name in GOLD_DOMAINS),
    "fraud_stream",
)
"""The DAGs without which data do not flow; what somebody has paused of the others is his own affair."""

STEADY_SECONDS = 60.0
"""A stream that has run for so long is well, whatever became of its tries before: its run never ends with a success."""

RECENT_RUNS = 100
"""So many newest runs of all DAGs are looked at in one question; only for DAGs without one among them others follow."""

LOG_BYTES = 64 * 1024
"""The error is looked for in the last so many bytes of a task's log."""

_FINISHED = ("success", "failed")
_FAILED = frozenset({"failed", "up_for_retry"})
_DONE = frozenset({"success", "skipped", "removed"})
# The last line of a traceback: of Python's (the name of the class, often with its module) or of Java's.
_EXCEPTION = re.compile(
    r"(?:Caused by: )?(?:(?:[a-z_]\w*\.)+[A-Z]\w*|[A-Z]\w*(?:Error|Exception|Exit|Interrupt))(?:: .*)?"
)
# The provider's own word for: the program that it started has failed. Why, the lines before it say.
_NO_REASON = re.compile(r"(?:AirflowException: )?Cannot execute: |Task failed with exception")


@dataclass(frozen=True, slots=True)
class FailedTask:
    """A task that failed, in a DAG that has not succeeded since.

    ``state`` is ``failed`` when its run has failed, ``up_for_retry`` when it is tried again. ``since`` is when it first
    failed after the last success; ``error`` the last error in its log, None when there is no log to read.
    """

    dag_id: str
    task_id: str
    run_id: str
    state: str
    since: datetime | None
    try_number: int
    error: str | None

    @property
    def sentence(self) -> str:
        """That it failed, since when, and why."""
        what = "has failed" if self.state == "failed" else "fails and is tried again"
        since = f", since {duration(age(self.since.timestamp()))}" if self.since else ""
        return f"{what}{since}: {self.error or 'its log tells of no error'}"


def look(api: AirflowReader, logs: Path | None) -> tuple[list[FailedTask], list[Problem]]:
    """The failed tasks, and all that is wrong in Airflow, they among it. ``logs``: the folder of the tasks' logs.

    Raises:
        include.airflow_api.AirflowApiError: it does not answer, or refuses.
        Anything that comes of an answer which is not Airflow's.
    """
    dags = {dag["dag_id"]: dag for dag in api.dags()}
    problems = [
        Problem("import_error", error["filename"], f"it cannot be read: {_last(error['stack_trace'])}")
        for error in api.import_errors()
    ]
    problems += [Problem("missing_dag", name, "Airflow knows no such DAG") for name in FLOW_DAGS if name not in dags]
    paused = [name for name in FLOW_DAGS if name in dags and dags[name]["is_paused"]]
    problems += [Problem("paused", name, "the DAG is paused: it moves nothing") for name in paused]
    # What has no schedule was started by somebody, who was told how it ended.
    watched = [name for name, dag in dags.items() if dag["timetable_summary"] and not dag["is_paused"]]
    failed = list(_failed(api, watched, logs))
    problems += [Problem("failed_task", f"{one.dag_id}.{one.task_id}", one.sentence) for one in failed]
    return failed, problems


def _failed(api: AirflowReader, dag_ids: Iterable[str], logs: Path | None) -> Iterator[FailedTask]:
    recent: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run in api.runs("~", limit=RECENT_RUNS):
        recent[run["dag_id"]].append(run)
    for dag_id in dag_ids:
        runs = recent.get(dag_id) or api.runs(dag_id, limit=1)
        finished = [run for run in runs if run["state"] in _FINISHED] or api.runs(dag_id, limit=1, state=_FINISHED)
        if runs:
            yield from _failed_in(api, runs[0], finished[0] if finished else None, logs)


def _failed_in(
    api: AirflowReader, newest: Mapping[str, Any], finished: Mapping[str, Any] | None, logs: Path | None
) -> Iterator[FailedTask]:
    """The failed tasks of a DAG with these runs; of none that has succeeded since."""
    broke = finished is not None and finished["state"] == "failed"
    now = _Run.of(api, newest) if newest["state"] not in _FINISHED else None
    if now is not None and now.steady:
        return
    if now is not None and (trying := now.tried_again):
        runs = [now, _Run.of(api, finished)] if finished is not None and broke else [now]
        yield from (_describe(api, task, runs, logs) for task in trying)
    elif finished is not None and broke:
        run = _Run.of(api, finished)
        yield from (_describe(api, task, [run], logs) for task in run.failed)


@dataclass(frozen=True, slots=True)
class _Run:
    """A run and its tasks."""

    dag_id: str
    run_id: str
    state: str
    tasks: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, api: AirflowReader, run: Mapping[str, Any]) -> _Run:
        return cls(run["dag_id"], run["dag_run_id"], run["state"], api.tasks(run["dag_id"], run["dag_run_id"]))

    @property
    def stream(self) -> bool:
        """Whether it is made to have no end."""
        return bool(self.tasks) and all(task["pool"] == pools.STREAMS for task in self.tasks)

    @property
    def steady(self) -> bool:
        """Whether it is a stream that has been running for a while."""
        return self.stream and all(
            task["state"] == "running" and task["start_date"] and age(_unix(task["start_date"])) > STEADY_SECONDS
            for task in self.tasks
        )

    @property
    def tried_again(self) -> list[Mapping[str, Any]]:
        """The tasks that have failed and will be tried again, or are being tried again."""
        return [
            task
            for task in self.tasks
            if task["state"] in _FAILED or (task["try_number"] > 1 and task["state"] not in _DONE)
        ]

    @property
    def failed(self) -> list[Mapping[str, Any]]:
        """The tasks for which the run has failed; all, if it was failed as a whole."""
        return [task for task in self.tasks if task["state"] in _FAILED] or list(self.tasks)


def _describe(api: AirflowReader, task: Mapping[str, Any], runs: Sequence[_Run], logs: Path | None) -> FailedTask:
    """``runs`` are the one that the task is in and, before it, those of which it is known that they failed, too."""
    run, task_id = runs[0], task["task_id"]
    tries = sorted(
        (one for each in runs for one in api.tries(each.dag_id, each.run_id, task_id) if one["end_date"]),
        key=lambda one: str(one["end_date"]),
    )
    ended = [one for one in tries if one["state"] not in _DONE]
    last = ended[-1] if ended else task
    since = _broke_down(ended) if run.stream else _first_failure(api, run.dag_id, ended)
    return FailedTask(
        dag_id=run.dag_id,
        task_id=task_id,
        run_id=last["dag_run_id"],
        state="failed" if "failed" in (run.state, task["state"]) else "up_for_retry",
        since=None if since is None else datetime.fromtimestamp(since, UTC),
        try_number=last["try_number"],
        error=_error(logs, last),
    )


def _broke_down(tries: Sequence[Mapping[str, Any]]) -> float | None:
    """When a stream ceased to run steadily (Unix time), as far as these tries tell; the newest is the last."""
    since = None
    for one in reversed(tries):
        since = _unix(one["end_date"])
        if one["start_date"] and since - _unix(one["start_date"]) > STEADY_SECONDS:
            break
    return since


def _first_failure(api: AirflowReader, dag_id: str, tries: Sequence[Mapping[str, Any]]) -> float | None:
    """When a DAG failed first since it last succeeded, Unix time."""
    success = api.runs(dag_id, limit=1, state="success")
    after = {"end_date_gte": success[0]["end_date"]} if success else {}
    failed = api.runs(dag_id, limit=1, state="failed", order_by="id", **after)
    ends = [one["end_date"] for one in (*failed, *tries) if one["end_date"]]
    return min(map(_unix, ends), default=None)


def _error(logs: Path | None, task: Mapping[str, Any]) -> str | None:
    """The last error in the log of a try, None where there is no log."""
    if logs is None:
        return None
    folder = logs / f"dag_id={task['dag_id']}" / f"run_id={task['dag_run_id']}" / f"task_id={task['task_id']}"
    if task["map_index"] >= 0:
        folder /= f"map_index={task['map_index']}"
    try:
        with (folder / f"attempt={task['try_number']}.log").open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - LOG_BYTES))
            return last_error(file.read().decode(errors="replace").splitlines())
    except FileNotFoundError:
        return None


def last_error(lines: Iterable[str]) -> str | None:
    """The error that a task's log ends with, in one line; None when the log tells of none.

    The last exception, if there is one: a program that a task has started says its own before the task fails. Else what
    was last logged as an error.
    """
    exceptions, errors = [], []
    for line in lines:
        entry = _entry(line)
        event = str(entry.get("event", "")).strip()
        if _EXCEPTION.fullmatch(event.partition("\n")[0]):
            exceptions.append(event)
        elif entry.get("level") in ("error", "critical"):
            errors.append(event)
        exceptions += _raised(entry)
    told = exceptions or errors
    why = [text for text in told if not _NO_REASON.match(text)]
    return one_line((why or told)[-1]) if told else None


def _entry(line: str) -> dict[str, Any]:
    """A line of a task's log: one JSON object, or text of somebody's."""
    try:
        entry = json.loads(line)
    except ValueError:
        entry = line
    return entry if isinstance(entry, dict) else {"event": line}


def _raised(entry: Mapping[str, Any]) -> list[str]:
    """The exceptions that a line of a task's log came with, the last raised at the end."""
    details = entry.get("error_detail")
    return [
        f"{detail.get('exc_type')}: {detail.get('exc_value')}"
        for detail in reversed(details if isinstance(details, list) else [])
        if isinstance(detail, dict)
    ]


def _last(text: object) -> str:
    """The last line of a traceback."""
    return one_line((str(text).strip().splitlines() or [""])[-1])


def _unix(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
