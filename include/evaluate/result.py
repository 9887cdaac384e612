"""What an evaluation says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

IN_VERDICT = "verdict"
"""The mode of a rule that is among the reasons of a fraud verdict."""


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
        return ratio(self.caught, self.caught + self.missed)


@dataclass(frozen=True, slots=True)
class RuleScore:
    """How often a rule fired on labelled transactions, and how often that was a fraud of any scenario.

    ``mode`` says what came of it: `IN_VERDICT`, or, where the rule did not make its transaction fraud, the mode of
    ``ops.rule_hit``: alert (the weights were too little), shadow, or snoozed.
    """

    rule: str
    fired: int
    on_fraud: int
    mode: str = IN_VERDICT

    @property
    def precision(self) -> float | None:
        """Share of what it fired on that was fraud."""
        return ratio(self.on_fraud, self.fired)


@dataclass(frozen=True, slots=True)
class CaseScore:
    """How many fraud cases of a scenario there are, see ``metrics.cases``.

    ``caught`` counts those of which any transaction was called fraud, ``caught_at_first`` those whose first one was.
    """

    scenario: str
    cases: int
    caught: int
    caught_at_first: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """How good an order of suspicion is, see ``metrics``; None where nothing was judged.

    ``scenarios`` has the average precision of each scenario's frauds among genuine transactions alone.
    """

    average_precision: float | None = None
    precision_at_100: float | None = None
    scenarios: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Verdicts against labels.

    ``genuine_passed`` and ``genuine_alarmed`` are the genuine transactions called genuine and called fraud.
    ``unreadable_labels`` are records of the labels' topic, or rows of their file, that are no label. ``by_score`` ranks
    by the verdicts' score, of equal ones the dearer first; ``by_amount`` ranks by the amount alone, to compare with.
    """

    labels: int
    unreadable_labels: int
    labels_without_verdict: int
    verdicts_without_label: int
    genuine_passed: int
    genuine_alarmed: int
    scenarios: tuple[ScenarioScore, ...]
    rules: tuple[RuleScore, ...]
    cases: tuple[CaseScore, ...] = ()
    by_score: Ranking = Ranking()
    by_amount: Ranking = Ranking()

    @property
    def frauds_caught(self) -> int:
        """Frauds called fraud."""
        return sum(score.caught for score in self.scenarios)

    @property
    def frauds_missed(self) -> int:
        """Frauds called genuine."""
        return sum(score.missed for score in self.scenarios)

    @property
    def cases_caught_at_first(self) -> float | None:
        """Share of the fraud cases whose first transaction was called fraud; None when there was no case."""
        return ratio(sum(one.caught_at_first for one in self.cases), sum(one.cases for one in self.cases))

    @property
    def precision(self) -> float | None:
        """Share of the alarms that were frauds; None when there was none."""
        return ratio(self.frauds_caught, self.frauds_caught + self.genuine_alarmed)

    @property
    def recall(self) -> float | None:
        """Share of the judged frauds that were caught; None when none was judged."""
        return ratio(self.frauds_caught, self.frauds_caught + self.frauds_missed)

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
            "cases_caught_at_first": self.cases_caught_at_first,
            "scenarios": scenarios,
            "rules": [
                asdict(rule) | {"precision": rule.precision, "recall": self.recall_of(rule)} for rule in self.rules
            ],
        }

    def precision_of(self, scenario: str) -> float | None:
        """Precision of the rule with the scenario's name, in verdicts; None when there is none or it never fired."""
        named = (rule for rule in self.rules if (rule.rule, rule.mode) == (scenario, IN_VERDICT))
        return next((rule.precision for rule in named), None)

    def recall_of(self, rule: RuleScore) -> float | None:
        """Share of the judged frauds on which this rule fired; None when none was judged."""
        return ratio(rule.on_fraud, self.frauds_caught + self.frauds_missed)


def ratio(part: int, whole: int) -> float | None:
    """The share, None of nothing."""
    return part / whole if whole else None
