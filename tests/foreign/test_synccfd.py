"""The labelled log of a simulator that nobody here wrote: evaluated as it is, and each seed is data of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from include.evaluate.files import evaluate_files
from include.fraud.rules import RULES_FILE, load_rules
from include.local.layout import CLONE
from tests.support.uv import uv

# It fetches the simulator and half a dozen geographical libraries.
pytestmark = pytest.mark.long
SCRIPT = CLONE / "tests/foreign/synccfd/simulate.py"


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders with the data of two seeds."""
    folders = []
    for seed in (1, 2):
        folder = tmp_path_factory.mktemp(f"seed_{seed}")
        size = ["--customers", "200", "--terminals", "400", "--days", "15"]
        run = [uv(), "run", "--quiet", "--script", str(SCRIPT), "--seed", str(seed), *size, str(folder)]
        subprocess.run(run, check=True, timeout=300, stdout=subprocess.DEVNULL)
        folders.append(folder)
    return folders


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
