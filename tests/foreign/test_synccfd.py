"""The labelled log of a simulator that nobody here wrote: evaluated as it is, and each seed is data of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from include.evaluate.files import evaluate_files
from include.fraud.rulebook import RULES_FILE, load_rules
from include.generators.population import Population
from include.generators.transactions import TransactionSource
from include.local.layout import CLONE
from tests.foreign.distributions import Distributions, Payment, Spread, distributions
from tests.support.uv import uv

# It fetches the simulator and half a dozen geographical libraries.
pytestmark = pytest.mark.long
FOLDER = CLONE / "tests/foreign/synccfd"
USERS, DAYS = 1_000, 60
UNTIL = datetime(2026, 11, 20, tzinfo=UTC)
SAME_KIND = {
    "compromised_card": "stolen_number",
    "compromised_merchant": "compromised_terminal",
    "account_takeover": "stolen_card",
}
"""Our scenarios beside the handbook's: a number used online, cards of one place, and a card that is spent at once."""


def simulate(folder: Path, seed: int, customers: int, days: int) -> Path:
    size = ["--customers", str(customers), "--terminals", str(2 * customers), "--days", str(days)]
    run = [uv(), "run", "--quiet", "--script", str(FOLDER / "simulate.py"), "--seed", str(seed), *size, str(folder)]
    subprocess.run(run, check=True, timeout=600, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders with the data of two seeds."""
    return [simulate(tmp_path_factory.mktemp(f"seed_{seed}"), seed, 200, 15) for seed in (1, 2)]


def test_its_transactions_keep_the_contract_and_are_measured_against_its_labels(simulated: list[Path]) -> None:
    folder = simulated[0]
    rows = pq.read_metadata(folder / "transactions.parquet").num_rows
    result, refused = evaluate_files(folder / "transactions.parquet", folder / "labels.parquet", load_rules(RULES_FILE))
    # It rounds some amounts to zero, which no contract lets pass.
    assert all("amount" in one for one in refused)
    assert len(refused) < 10
    assert result.labels == rows
    assert result.labels_without_verdict == len(refused)
    assert {one.scenario for one in result.scenarios} >= {"compromised_terminal", "stolen_card", "stolen_number"}
    # A thief's amounts are five times the owner's, so even the amount alone is better than chance, but not good.
    frauds = sum(one.labels for one in result.scenarios)
    assert frauds / rows < (result.by_amount.average_precision or 0) < 0.8


def test_another_seed_is_other_data(simulated: list[Path]) -> None:
    columns = ["user_id", "amount", "timestamp"]
    tables = [pq.read_table(folder / "transactions.parquet", columns=columns) for folder in simulated]
    one, other = (set(zip(*(column.to_pylist() for column in table.columns), strict=True)) for table in tables)
    assert len(one & other) < 0.001 * len(one)


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data of a seed that nothing was made on."""
    return simulate(tmp_path_factory.mktemp("unseen"), 4, USERS, DAYS)


def test_rules_with_memory_find_its_frauds(unseen: Path) -> None:
    """Made on seeds 1 and 2; `-s` prints what docs/fraud.md says of others."""
    rules = load_rules(FOLDER / "rules.yaml")
    result, _ = evaluate_files(unseen / "transactions.parquet", unseen / "labels.parquet", rules)
    found, by_amount = result.by_score, result.by_amount
    print(
        f"\naverage precision {found.average_precision:.3f} (by amount {by_amount.average_precision:.3f}),"
        f" of the 100 first a day {found.precision_at_100:.3f} ({by_amount.precision_at_100:.3f})"
    )
    assert found.average_precision is not None
    assert found.precision_at_100 is not None
    assert found.average_precision >= 0.62
    assert found.precision_at_100 >= 0.30


def theirs(folder: Path) -> Iterator[Payment]:
    columns = ["txn_id", "user_id", "merchant_id", "amount", "timestamp"]
    transactions = pq.read_table(folder / "transactions.parquet", columns=columns).to_pylist()
    labels = pq.read_table(folder / "labels.parquet")
    scenario = dict(zip(labels["txn_id"].to_pylist(), labels["scenario"].to_pylist(), strict=True))
    for one in transactions:
        seconds = datetime.fromisoformat(one["timestamp"]).timestamp()
        source = one["merchant_id"]
        yield Payment(one["user_id"], seconds, float(one["amount"]), source, scenario[one["txn_id"]])


def ours() -> Iterator[Payment]:
    """As many customers, who pay as often; a crew uses the copies of one merchant's cards in one city."""
    source = TransactionSource(Population(7, USERS, 200), run_id="handbook", fraud_share=0.02, clock=lambda: UNTIL)
    for turn in source.past(UNTIL - timedelta(days=DAYS), UNTIL, 2 * USERS / 86_400):
        for one in turn:
            record, label = one.record, one.label
            seconds = datetime.fromisoformat(label["timestamp"]).timestamp()
            yield Payment(record["user_id"], seconds, float(record["amount"]), record["location"], one.scenario)


def shown(own: Distributions, other: Distributions) -> str:
    rows = [
        (f"genuine: {name}", getattr(own, name), getattr(other, name)) for name in ("payments_a_day", "amount_spread")
    ]
    for mine, like in SAME_KIND.items():
        pairs = zip(own.kinds[mine]._asdict().items(), other.kinds[like], strict=True)
        rows += [(f"{mine} | {like}: {name}", value, beside) for (name, value), beside in pairs]
    lines = [f"{name:56}{value:10.4g}{beside:10.4g}{value / beside:8.2f}" for name, value, beside in rows]
    return "\n".join([f"{'':56}{'ours':>10}{'synccfd':>10}{'ratio':>8}", *lines])


def test_bursts_of_the_generated_frauds_are_as_strong_as_the_handbooks(unseen: Path) -> None:
    """`-s` prints what docs/fraud.md shows."""
    own, other = distributions(ours()), distributions(theirs(unseen))
    print(f"\n{shown(own, other)}")
    ratios = {
        (mine, name): getattr(own.kinds[mine], name) / getattr(other.kinds[like], name)
        for mine, like in SAME_KIND.items()
        for name in Spread._fields
    }
    bursts = [(mine, name) for mine in SAME_KIND for name in ("payments", "hour_burst")]
    # An account that was taken over is left within the hour, however long the day is.
    bursts += [(mine, "day_burst") for mine in ("compromised_card", "compromised_merchant")]
    assert {one: ratio for one in bursts if not 1 / 3 < (ratio := ratios[one]) < 3} == {}
    assert 0.8 < own.payments_a_day / other.payments_a_day < 1.25
    assert 0.7 < ratios["compromised_card", "amount_ratio"] < 1.4
    assert 0.5 < ratios["compromised_merchant", "cards"] < 2
