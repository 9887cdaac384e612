"""What `astro dev parse` runs in the image: every DAG file can be imported.

The CLI's own version of this file gives ``DagBag`` an argument that Airflow 3.3 no longer has.
"""
# ruff: noqa: D103, S101 (it is a test, though not in tests/)

from __future__ import annotations

import os
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

# A link to airflow/dags, which names files in what Airflow reports.
FOLDER = (Path(os.environ["AIRFLOW_HOME"]) / "dags").resolve()
FILES = sorted(FOLDER.rglob("*.py"))


def test_there_are_dags() -> None:
    assert FILES, f"no Python file in {FOLDER}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(FOLDER)))
def test_the_file_is_imported_and_has_dags(file: Path) -> None:
    bag = DagBag(dag_folder=file, safe_mode=False)
    assert bag.import_errors == {}, "\n".join(bag.import_errors.values())
    assert bag.dags, "no DAG in it"
