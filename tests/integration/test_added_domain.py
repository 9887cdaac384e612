"""Domains that were added by one entry and one contract each, in a folder outside of the code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from include.domains import DOMAINS_VARIABLE, RegistryError, domains_in, registry
from include.settings import Settings
from tests.support.warehouse import scratch_database

ROOT = Path(__file__).parents[2]
ADDED = ROOT / "tests" / "support" / "added_domain"


def told_by(*program: str, **environment: str) -> Any:
    """What a process that knows the added domain prints as JSON."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "airflow" / "plugins")])
    known = {**os.environ, DOMAINS_VARIABLE: str(ADDED), "PYTHONPATH": path, "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(
        [sys.executable, *program],
        env=known | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-8000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.integration
def test_their_records_come_from_a_foreign_client_into_gold_and_the_books_balance(settings: Settings) -> None:
    with scratch_database(settings) as dsn:
        told = told_by("-m", "tests.support.added_domain.story", **{**settings.as_environment(), "WAREHOUSE_DSN": dsn})
    one = ["B1", "Dr. Branch 1", "US", "99.00", "2999-12-31 09:00:00+00", 2999, "2026-01-31"]
    assert told["branches"] == {
        "rows": [one, ["B3", "Dr. Branch 3", "US", "12.50", None, None, "2026-01-31"]],
        "refused": [[["cash_limit", "out_of_range"], ["seat", "unknown_country"]], [["changed_at", "in_the_future"]]],
        "silver": 2,
        "problems": "",
    }
    three = ["B3", "Dr. Branch 3", "PT", "12.50", "2999-12-31 09:00:00+00", 2999, "2026-01-31"]
    assert told["branches after a reset"]["rows"] == [one, three]
    assert told["branches after a reset"]["problems"] == ""

    # Of an event the lake has every record, gold the newest of each id.
    newer = ["D1", "T1", "99.00", "2999-12-31 09:00:00+00", "2026-01-31 22:30:00+00"]
    old = ["D3", "T3", "12.50", "2999-12-31 09:00:00+00", "1999-12-31 23:59:59+00"]
    assert told["disputes"] == {
        "rows": [newer, old],
        "refused": [[["amount", "out_of_range"]], [["opened_at", "in_the_future"]]],
        "silver": 3,
        "problems": "",
    }
    assert told["lake"] == {
        "rows": [
            ["D1", "12.50", "2026-01-31 13:45:00+00"],
            ["D1", "99.00", "2026-01-31 22:30:00+00"],
            ["D3", "12.50", "1999-12-31 23:59:59+00"],
        ],
        "days": ["opened_at_day=1999-12-31", "opened_at_day=2026-01-31"],
    }
    assert told["disputes, if they had no table"] == {"silver": 3, "gold": None, "problems": ""}
    again = ["D3", "T3", "12.50", "2999-12-31 09:00:00+00", "2026-01-31 13:45:00+00"]
    assert told["disputes after a reset"] == told["disputes"] | {"rows": [newer, again], "silver": 5}


FOLLOWS = """
import json
from airflow.dag_processing.dagbag import DagBag
from include.kafka.topics import TOPICS
from include.stack.first_data import TABLES
from include.warehouse.summary import LAYER_TABLES
bag = DagBag(dag_folder="airflow/dags")
spec = TOPICS["bank_branches"]
gold = bag.dags["gold_branches"]
print(json.dumps({
    "errors": bag.import_errors,
    "dags": sorted(dag for dag in bag.dags if "branches" in dag or "disputes" in dag),
    "outlets": sorted(asset.name for dag in bag.dags.values() if "branches" in dag.dag_id
                      for task in dag.tasks for asset in task.outlets),
    "produced": sorted(asset.name for task in bag.dags["generate_reference"].tasks for asset in task.outlets),
    "partitions": spec.partitions,
    "retention.ms": spec.config["retention.ms"],
    "shown": [table.name for table in LAYER_TABLES],
    "awaited": list(TABLES),
}))
"""
"""What follows from the entries, without a server."""


def copied(folder: Path, old: str, new: str) -> Path:
    """A folder with the entries and contracts, but for one change to the entries."""
    text = (ADDED / "domains.yaml").read_text(encoding="utf-8")
    assert old in text
    (folder / "domains.yaml").write_text(text.replace(old, new), encoding="utf-8")
    for contract in ADDED.glob("*.odcs.yaml"):
        (folder / contract.name).write_bytes(contract.read_bytes())
    return folder


def test_topics_dags_assets_tables_and_the_first_start_follow_from_its_entry(tmp_path: Path) -> None:
    told = told_by("-c", FOLLOWS, AIRFLOW_HOME=str(tmp_path), AIRFLOW__CORE__LOAD_EXAMPLES="False")
    assert told["errors"] == {}
    assert told["dags"] == [
        f"{layer}_{name}" for layer in ("bronze", "gold", "silver") for name in ("branches", "disputes")
    ]
    assert told["outlets"] == ["bronze/branch-folder", "gold/BRANCHES", "silver/processed-branches"]
    assert told["produced"] == ["account_balances", "merchant_info", "user_profiles"]
    assert (told["partitions"], told["retention.ms"]) == (3, str(30 * 24 * 60 * 60 * 1000))
    assert "branches" in told["shown"]
    # Nothing of ours produces branches, so a first start does not wait for them.
    assert "branches" not in told["awaited"]


def test_events_may_end_in_the_lake(tmp_path: Path) -> None:
    folder = copied(tmp_path, "keyed_by: txn_id", "keyed_by: txn_id\n  gold: false")
    told = told_by("-c", FOLLOWS, PAYLAKE_DOMAINS=str(folder), AIRFLOW_HOME=str(tmp_path))
    assert told["errors"] == {}
    assert told["dags"] == ["bronze_branches", "bronze_disputes", "gold_branches", "silver_branches", "silver_disputes"]
    assert "card_disputes" not in told["shown"]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("kind: reference", "kind: lookup", "kind"),
        ("kind: reference", "kind: reference\n  judged: true", "judge transactions, nothing else"),
        ("partitions: 3", "partitions: 0", "partitions"),
        ("partitions: 3", "partition: 3", "partition"),
        ("bronze_folder: branch-folder", "bronze_folder: ../up", "bronze_folder"),
        ("silver_folder: processed-branches", "silver_folder: null", "silver_folder"),
        ("event_time: changed_at", "event_time: cash_limit", "event_time cash_limit is no timestamp"),
        ("event_time: changed_at", "event_time: next_audit", "event_time next_audit may be missing"),
        ("keyed_by: branch_id", "keyed_by: nobody", "keyed_by nobody is no field"),
        ("silver_folder: processed-branches", "silver_folder: [", "domains.yaml"),
    ],
)
def test_an_entry_that_makes_no_sense_is_refused(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    with pytest.raises(RegistryError, match=complaint):
        registry(domains_in(copied(tmp_path, old, new)))


def test_two_domains_do_not_share_a_topic() -> None:
    with pytest.raises(RegistryError, match="two domains have the name branches, disputes"):
        registry(domains_in(ADDED) * 2)
