"""Verdicts on their way into the warehouse."""

from __future__ import annotations

import csv
import io
import json

import pyarrow as pa

from include.domains import TRANSACTIONS
from include.fraud.staged import staged_columns, written
from include.fraud.verdicts import Verdicts
from tests.support.judging import classify_records
from tests.support.records import in_bronze, payment

FIRED = [{"rule": "huge_amount", "message": 'it is "huge"', "values": {"amount": "200000.0000"}}]


def test_they_are_written_as_postgresql_reads_csv() -> None:
    table = classify_records([in_bronze(0, payment("T0", amount="200000", location='A "b", \\N'))])
    staged = staged_columns(table, "3", Verdicts([True], [100], [FIRED], []))
    (row,) = csv.reader(io.StringIO(written(staged).to_pybytes().decode()))
    names = staged.column_names
    found = dict(zip(names, row, strict=True))
    assert names[:2] == ["place", "verdict"]
    assert found["verdict"] == "fraud"
    assert found["amount"] == "200000.0000"
    assert found["location"] == 'A "b", \\N'
    assert found["reasons"] == "{huge_amount}"
    assert json.loads(found["evidence"]) == FIRED
    assert (found["score"], found["rules_version"], found["offset"]) == ("100", "3", "0")


def test_a_table_in_pieces_of_which_one_is_empty_is_written_like_another() -> None:
    table = classify_records([in_bronze(number, payment(f"T{number}")) for number in range(3)])
    pieces = pa.concat_tables([table.slice(0, 0), table.slice(0, 1), table.slice(1)])
    verdicts = Verdicts([], [], [], [])
    assert written(staged_columns(pieces, "3", verdicts)) == written(staged_columns(table, "3", verdicts))


def test_what_is_not_new_gets_no_verdict_of_its_own() -> None:
    table = classify_records([in_bronze(number, payment(f"T{number}")) for number in range(3)])
    staged = staged_columns(table, "3", Verdicts([False, True], [60, 100], [[], FIRED], []))
    assert staged["verdict"].to_pylist() == ["genuine", "fraud", ""]
    assert staged["score"].to_pylist() == [60, 100, 0]
    assert {column.name for column in TRANSACTIONS.contract.columns} <= set(staged.column_names)
