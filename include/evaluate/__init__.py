"""How good the fraud verdicts are: verdicts against the truth that generators sent, or that a file holds.

The detector never reads the labels; this reads both. A transaction counts only when it has a label *and* a verdict. One
without a label belongs to another producer and is neither right nor wrong; a label without a verdict is still on its
way, or lost, and is reported as such.
"""

from include.evaluate.labels import Label, parse_label
from include.evaluate.result import CaseScore, Evaluation, Ranking, RuleScore, ScenarioScore
from include.evaluate.warehouse import evaluate

__all__ = [
    "CaseScore",
    "Evaluation",
    "Label",
    "Ranking",
    "RuleScore",
    "ScenarioScore",
    "evaluate",
    "parse_label",
]
