"""The labelled log of a simulator that nobody here wrote: evaluated as it is, and each seed is data of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from include.evaluate.files import evaluate_files
from include.fraud.rulebook import RULES_FILE, load_rules
from include.local.layout import CLONE
from tests.support.uv import uv

# It fetches the simulator and half a dozen geographical libraries.
pytestmark = pytest.mark.long
FOLDER = CLONE / "tests/foreign/synccfd"


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


def test_rules_with_memory_find_its_frauds(tmp_path: Path) -> None:
    """Made on seeds 1 and 2; `-s` prints what docs/fraud.md says of others."""
    folder = simulate(tmp_path, 4, 1000, 60)
    rules = load_rules(FOLDER / "rules.yaml")
    result, _ = evaluate_files(folder / "transactions.parquet", folder / "labels.parquet", rules)
    found, by_amount = result.by_score, result.by_amount
    print(
        f"\naverage precision {found.average_precision:.3f} (by amount {by_amount.average_precision:.3f}),"
        f" of the 100 first a day {found.precision_at_100:.3f} ({by_amount.precision_at_100:.3f})"
    )
    assert found.average_precision is not None
    assert found.precision_at_100 is not None
    assert found.average_precision >= 0.62
    assert found.precision_at_100 >= 0.30
