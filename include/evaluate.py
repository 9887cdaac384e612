"""How good the fraud verdicts are: verdicts against the truth that the generators sent along.

The detector never reads the labels; this reads both. A transaction counts only when it has a label *and* a verdict. One
without a label belongs to another producer and is neither right nor wrong; a label without a verdict is still on its
way, or lost, and is reported as such.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, NoReturn

import psycopg
import typer
from confluent_kafka import KafkaException
from psycopg import IsolationLevel
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from include.kafka.scan import scan
from include.kafka.topics import LABELS_TOPIC, TopicTimeoutError, UnknownTopicError
from include.kafka.unreadable import Unreadable
from include.postgres import connect
from include.settings import MissingSettingError, Settings
from include.sql import load_sql


@dataclass(frozen=True, slots=True)
class ScenarioScore:
    """How the frauds of one scenario were judged: ``caught`` by any rule, ``missed``, or ``without_verdict``."""

    scenario: str
    labels: int
    caught: int
    missed: int

    @property
    def without_verdict(self) -> int:
        """Frauds that have no verdict yet."""
        return self.labels - self.caught - self.missed

    @property
    def recall(self) -> float | None:
        """Share of the judged frauds that were caught; None when none was judged."""
        return _ratio(self.caught, self.caught + self.missed)


@dataclass(frozen=True, slots=True)
class RuleScore:
    """How often a rule fired on labelled transactions, and how often that was a fraud of any scenario."""

    rule: str
    fired: int
    on_fraud: int

    @property
    def precision(self) -> float | None:
        """Share of the rule's alarms that were frauds."""
        return _ratio(self.on_fraud, self.fired)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Verdicts against labels.

    ``genuine_passed`` and ``genuine_alarmed`` are the genuine transactions called genuine and called fraud.
    ``unreadable_labels`` are records of the labels' topic that are no label.
    """

    labels: int
    unreadable_labels: int
    labels_without_verdict: int
    verdicts_without_label: int
    genuine_passed: int
    genuine_alarmed: int
    scenarios: tuple[ScenarioScore, ...]
    rules: tuple[RuleScore, ...]

    @property
    def frauds_caught(self) -> int:
        """Frauds called fraud."""
        return sum(score.caught for score in self.scenarios)

    @property
    def frauds_missed(self) -> int:
        """Frauds called genuine."""
        return sum(score.missed for score in self.scenarios)

    @property
    def precision(self) -> float | None:
        """Share of the alarms that were frauds; None when there was none."""
        return _ratio(self.frauds_caught, self.frauds_caught + self.genuine_alarmed)

    @property
    def recall(self) -> float | None:
        """Share of the judged frauds that were caught; None when none was judged."""
        return _ratio(self.frauds_caught, self.frauds_caught + self.frauds_missed)

    def as_json(self) -> dict[str, Any]:
        """The evaluation as a JSON object; ratios are None where nothing was judged."""
        scenarios = [
            asdict(score)
            | {
                "without_verdict": score.without_verdict,
                "recall": score.recall,
                "precision": self.precision_of(score.scenario),
            }
            for score in self.scenarios
        ]
        return asdict(self) | {
            "frauds_caught": self.frauds_caught,
            "frauds_missed": self.frauds_missed,
            "precision": self.precision,
            "recall": self.recall,
            "scenarios": scenarios,
            "rules": [asdict(rule) | {"precision": rule.precision} for rule in self.rules],
        }

    def precision_of(self, scenario: str) -> float | None:
        """Precision of the rule that has the scenario's name; None when there is none or it never fired."""
        return next((rule.precision for rule in self.rules if rule.rule == scenario), None)


@dataclass(frozen=True, slots=True)
class Label:
    """The truth about one transaction; ``scenario`` is None for a genuine one."""

    txn_id: str
    scenario: str | None


def evaluate(settings: Settings, labels_topic: str = LABELS_TOPIC) -> Evaluation:
    """Compare all labels that Kafka holds with the verdicts in the warehouse.

    The labels are read first, then the verdicts in one snapshot: so labels that have no verdict *yet* are as few as
    can be.

    Raises:
        UnknownTopicError: there is no topic of labels.
        psycopg.Error: the warehouse cannot be read; TopicTimeoutError, KafkaException: nor can Kafka.
    """
    with connect(settings.warehouse_dsn, "paylake-evaluate") as conn:
        unreadable = _stage_labels(conn, settings.kafka_config, labels_topic)
        conn.isolation_level = IsolationLevel.REPEATABLE_READ
        with conn.transaction():
            return _score(conn, unreadable)


def parse_label(value: bytes | None) -> Label | None:
    """The label that a record of the topic holds, None if it holds none."""
    try:
        label = json.loads(value or b"")
    except ValueError:
        return None
    match label:
        case {"txn_id": str(txn_id), "is_fraud": bool(is_fraud), "scenario": (str() | None) as scenario}:
            if "\0" in f"{txn_id}{scenario}" or is_fraud != (scenario is not None):
                return None
            return Label(txn_id, scenario)
    return None


def _stage_labels(conn: psycopg.Connection, kafka_config: Mapping[str, Any], topic: str) -> int:
    """Copy the labels into the session's ``label_staging``; returns how many records were none."""
    unreadable = 0

    def count(found: Unreadable) -> None:
        nonlocal unreadable
        unreadable += (found.last or found.first) - found.first + 1

    conn.execute(load_sql("evaluate/stage_labels"))
    with conn.cursor() as cursor, cursor.copy("COPY label_staging FROM STDIN") as copy:
        for message in scan(kafka_config, topic, count):
            label = parse_label(message.value())
            if label is None:
                unreadable += 1
            else:
                copy.write_row((label.txn_id, label.scenario))
    return unreadable


def _score(conn: psycopg.Connection, unreadable: int) -> Evaluation:
    conn.execute(load_sql("evaluate/settle_labels"))
    by_scenario = {row[0]: row[1:] for row in conn.execute(load_sql("evaluate/score_scenarios"))}
    rules = tuple(RuleScore(*row) for row in conn.execute(load_sql("evaluate/score_rules")))
    (verdicts,) = conn.execute(load_sql("evaluate/count_all_verdicts")).fetchone() or (0,)
    labels = sum(counts[0] for counts in by_scenario.values())
    judged = sum(fraud + genuine for _, fraud, genuine in by_scenario.values())
    _, genuine_alarmed, genuine_passed = by_scenario.pop(None, (0, 0, 0))
    return Evaluation(
        labels=labels,
        unreadable_labels=unreadable,
        labels_without_verdict=labels - judged,
        verdicts_without_label=verdicts - judged,
        genuine_passed=genuine_passed,
        genuine_alarmed=genuine_alarmed,
        scenarios=tuple(ScenarioScore(scenario, *counts) for scenario, counts in sorted(by_scenario.items())),
        rules=rules,
    )


def evaluate_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print the evaluation as one JSON object.")] = False,
) -> None:
    """Compare the fraud verdicts with the generators' truth: precision and recall, in total and by scenario."""
    try:
        evaluation = evaluate(Settings.from_environment())
    except (MissingSettingError, UnknownTopicError, TopicTimeoutError, psycopg.Error) as error:
        _fail(str(error), error)
    except KafkaException as error:
        _fail(f"Kafka: {error.args[0].str()}", error)
    if as_json:
        typer.echo(json.dumps(evaluation.as_json()))
    else:
        _print(evaluation)


def _print(evaluation: Evaluation) -> None:
    console = Console()
    if not evaluation.labels:
        console.print(f"No labels yet in {LABELS_TOPIC}: start the generator of transactions.")
        return
    table = Table(
        title="Fraud verdicts against the truth",
        title_justify="left",
        show_footer=True,
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("scenario", "total", no_wrap=True)
    frauds = sum(score.labels for score in evaluation.scenarios)
    waiting = sum(score.without_verdict for score in evaluation.scenarios)
    totals = (
        f"{frauds:,}",
        f"{evaluation.frauds_caught:,}",
        f"{evaluation.frauds_missed:,}",
        f"{waiting:,}",
        _percent(evaluation.recall),
        _percent(evaluation.precision),
    )
    for heading, total in zip(("frauds", "caught", "missed", "no verdict", "recall", "precision"), totals, strict=True):
        table.add_column(heading, total, justify="right")
    for score in evaluation.scenarios:
        table.add_row(
            score.scenario,
            f"{score.labels:,}",
            f"{score.caught:,}",
            f"{score.missed:,}",
            f"{score.without_verdict:,}",
            _percent(score.recall),
            _percent(evaluation.precision_of(score.scenario)),
        )
    console.print(table)
    console.print(
        f"Genuine transactions: {evaluation.genuine_passed:,} passed, {evaluation.genuine_alarmed:,} called fraud.\n"
        f"Not counted: {evaluation.labels_without_verdict:,} labels without a verdict,"
        f" {evaluation.verdicts_without_label:,} verdicts without a label (other producers),"
        f" {evaluation.unreadable_labels:,} unreadable labels.\n"
        "[dim]A scenario's precision is that of the rule with its name; - where no such rule fired.[/]",
        highlight=False,
    )


def _percent(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.1%}"


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _fail(message: str, cause: Exception) -> NoReturn:
    Console(stderr=True).print(f"[red]error:[/] {message}", highlight=False)
    raise typer.Exit(1) from cause
