"""A labelled log in files: the same whatever the format, and no bad row counts or goes unnamed."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from include.evaluate.cli import evaluate_command
from include.evaluate.files import evaluate_files
from include.evaluate.result import RuleScore, ScenarioScore
from include.evaluate.rows import FileError
from include.fraud.rulebook import RULES_FILE, load_rules

RULES = load_rules(RULES_FILE)
TRANSACTIONS = [
    {"txn_id": "T1", "user_id": "U1", "amount": "45000.00", "merchant_id": "M1", "channel": "Online"},
    {"txn_id": "T2", "user_id": "U1", "amount": "12.50", "merchant_id": "M1", "channel": "POS"},
    {"txn_id": "T3", "user_id": "U2", "amount": "200000", "merchant_id": "M0666", "channel": "ATM"},
    {"txn_id": "T4", "user_id": "U2", "amount": "7", "merchant_id": "M2", "channel": "POS"},
    {"txn_id": "T5", "user_id": "U2", "amount": "8", "merchant_id": "M2", "channel": "POS"},
]
for _number, _row in enumerate(TRANSACTIONS):
    _row |= {"location": "Rome, Italy", "timestamp": f"2026-01-31 1{_number}:45:00"}
LABELS: list[dict[str, Any]] = [
    {"txn_id": "T1", "is_fraud": True, "scenario": "theft"},
    {"txn_id": "T2", "is_fraud": True, "scenario": "theft"},
    {"txn_id": "T3", "is_fraud": False, "scenario": None},
    {"txn_id": "T4", "is_fraud": False, "scenario": None},
    {"txn_id": "T9", "is_fraud": True, "scenario": "testing"},
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    match path.suffix:
        case ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        case ".csv":
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, rows[0])
                writer.writeheader()
                writer.writerows(rows)
        case _:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_a_labelled_log_is_judged_and_measured(tmp_path: Path, suffix: str) -> None:
    transactions, labels = write(tmp_path / f"t{suffix}", TRANSACTIONS), write(tmp_path / f"l{suffix}", LABELS)
    result, refused = evaluate_files(transactions, labels, RULES)
    assert refused == []
    assert result.scenarios == (ScenarioScore("testing", 1, 0, 0), ScenarioScore("theft", 2, 1, 1))
    assert result.rules == (
        RuleScore("high_online_amount", 1, 1),
        RuleScore("huge_amount", 1, 0),
        RuleScore("suspicious_merchant", 1, 0),
    )
    assert (result.genuine_alarmed, result.genuine_passed, result.verdicts_without_label) == (1, 1, 1)
    assert result.by_score.average_precision == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_typed_columns_are_those_of_the_contract(tmp_path: Path) -> None:
    typed = pa.Table.from_pylist(TRANSACTIONS)
    for name, type_ in (("timestamp", pa.timestamp("ns", "UTC")), ("amount", pa.decimal128(12, 2))):
        text = typed[name] if name == "amount" else pa.chunked_array([[f"{one}Z" for one in typed[name].to_pylist()]])
        typed = typed.set_column(typed.schema.get_field_index(name), name, text.cast(type_))
    assert typed["amount"][0].as_py() == Decimal("45000.00")
    pq.write_table(typed, tmp_path / "t.parquet")
    labels = write(tmp_path / "l.jsonl", LABELS)
    written = write(tmp_path / "t.jsonl", TRANSACTIONS)
    assert evaluate_files(tmp_path / "t.parquet", labels, RULES) == evaluate_files(written, labels, RULES)


def test_labels_of_others_count_as_they_write_them(tmp_path: Path) -> None:
    transactions = write(tmp_path / "t.jsonl", TRANSACTIONS)
    labels = write(
        tmp_path / "l.csv",
        [
            {"txn_id": "T1", "is_fraud": 1, "scenario": 3, "case_id": 7},
            {"txn_id": "T2", "is_fraud": 1, "scenario": "", "case_id": 7},
            {"txn_id": "T3", "is_fraud": 0, "scenario": 0, "case_id": ""},
            {"txn_id": "T3", "is_fraud": 1, "scenario": 2, "case_id": ""},  # contradicts the one before
            {"txn_id": "T3", "is_fraud": 0, "scenario": 0, "case_id": ""},
        ],
    )
    result, refused = evaluate_files(transactions, labels, RULES)
    assert refused == []
    assert [one.scenario for one in result.scenarios] == ["2", "3", "unnamed"]
    assert sum(one.cases for one in result.cases) == 2


def test_bad_rows_are_named_and_do_not_count(tmp_path: Path) -> None:
    rows = [
        *TRANSACTIONS[:1],
        TRANSACTIONS[1] | {"amount": "0"},
        TRANSACTIONS[2] | {"channel": "Fax", "location": ""},
        TRANSACTIONS[0] | {"amount": "1"},  # an id again
    ]
    transactions = write(tmp_path / "t.jsonl", rows)
    with transactions.open("a") as file:
        file.write("[1]\n\nnull\n")
    labels = write(tmp_path / "l.jsonl", [*LABELS, {"txn_id": "T5", "is_fraud": "perhaps"}, {"is_fraud": True}])
    result, refused = evaluate_files(transactions, labels, RULES)
    places = [one.split(":")[0] for one in refused]
    assert places == [
        "t.jsonl, row 2 (T2)", "t.jsonl, row 3 (T3)", "t.jsonl, row 5", "t.jsonl, row 6",
        "l.jsonl, row 6 (T5)", "l.jsonl, row 7",
    ]  # fmt: skip
    assert "amount" in refused[0]
    assert "channel" in refused[1]
    assert "location" in refused[1]
    assert "is_fraud" in refused[4]
    assert "txn_id" in refused[5]
    assert (result.frauds_caught, result.labels_without_verdict, result.unreadable_labels) == (1, 4, 2)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.txt", b"", "is none of"),
        ("t.parquet", b"no Parquet", "t.parquet"),
        ("t.csv", b"txn_id\nT1,U1\n", "more values than the header"),
        ("t.csv", b"txn_id\n\xff\n", "t.csv"),
        ("missing.csv", None, "missing.csv"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, name: str, content: bytes | None, says: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileError, match=says):
        evaluate_files(path, write(tmp_path / "l.jsonl", LABELS), RULES)


def command(*arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of the command."""
    app = typer.Typer()
    app.command()(evaluate_command)
    outcome = CliRunner().invoke(app, arguments)
    return outcome.exit_code, outcome.stdout, outcome.stderr


def test_the_command_prints_tables_or_json_and_names_refused_rows(tmp_path: Path) -> None:
    transactions = write(tmp_path / "t.jsonl", [*TRANSACTIONS, {"txn_id": "T6"}])
    files = ["--transactions", str(transactions), "--labels", str(write(tmp_path / "l.jsonl", LABELS))]
    code, output, errors = command(*files, "--json")
    assert code == 0
    said = json.loads(output)
    assert said["refused_rows"] == 1
    assert said["by_amount"]["average_precision"] == pytest.approx(said["by_score"]["average_precision"])
    assert "row 6 (T6)" in errors
    code, output, _ = command(*files)
    assert code == 0
    assert "of the 100 first a day" in output
    assert "huge_amount" in output


def test_one_file_alone_is_refused(tmp_path: Path) -> None:
    code, _, errors = command("--labels", str(tmp_path / "l.jsonl"))
    assert code == 2
    assert "go together" in errors
    code, _, errors = command("--labels", str(tmp_path / "l.jsonl"), "--transactions", str(tmp_path / "t.jsonl"))
    assert code == 1
    assert "t.jsonl" in errors
