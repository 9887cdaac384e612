"""Which assets a selection means, and in which order, and how, Airflow is had to make them."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from typer.testing import CliRunner

from include.airflow_api import AirflowApi
from include.assets.registry import ASSETS
from include.assets.selection import SelectionError, select
from include.materialize import runs
from include.materialize.backfill import NoDaysError, make_days_anew
from include.materialize.runs import RunFailedError, left_alone, materialize, order
from include.stack.cli import alone

CHAIN = ["user_profiles", "bronze/profiles-folder", "silver/processed-profiles", "gold/USERS"]
JUDGED = ["bronze/transactions-folder", "silver/processed-transactions", "fraud/FraudTransaction"]


def names(*selections: str) -> list[str]:
    return [spec.name for spec in select(selections, ASSETS)]


@pytest.mark.parametrize(
    ("selection", "meant"),
    [
        ("silver/processed-profiles", CHAIN[2:3]),
        ("silver/profiles", CHAIN[2:3]),
        ("gold/users", CHAIN[3:]),
        ("silver/profiles+", CHAIN[2:]),
        ("+silver/profiles", CHAIN[:3]),
        ("+bronze/profiles-folder+", CHAIN),
        ("group:gold", ["gold/USERS", "gold/MERCHANTS", "gold/ACCOUNTS", "gold/DAILY_FRAUD"]),
        ("fraud/transactions", ["fraud/FraudTransaction", "fraud/GenuineTransaction"]),
        (
            "bronze/transactions+",
            [
                *("bronze/transactions-folder", "silver/processed-transactions"),
                *("fraud/FraudTransaction", "fraud/GenuineTransaction", "gold/DAILY_FRAUD"),
            ],
        ),
    ],
)
def test_a_selection_means_what_it_means_in_dagster(selection: str, meant: list[str]) -> None:
    assert names(selection) == meant


def test_several_selections_are_one_in_the_order_of_the_graph() -> None:
    assert names("gold/USERS", "silver/profiles+", "bronze/merchants") == [
        "bronze/merchant-folder",
        "silver/processed-profiles",
        "gold/USERS",
    ]
    everything = names(*(f"group:{group}" for group in {spec.group for spec in ASSETS.values()}))
    assert everything == list(ASSETS)
    for name, spec in ASSETS.items():
        assert all(everything.index(before) < everything.index(name) for before in spec.inputs)


@pytest.mark.parametrize(
    ("selection", "told"),
    [
        ("silver/profile", "did you mean silver/profiles"),
        ("group:silber", "the groups are bronze, checks, fraud, gold, kafka, silver"),
        ("", "there is no asset ''"),
        ("+", "there is no asset ''"),
        ("++gold/USERS", "there is no asset"),
    ],
)
def test_a_selection_of_nothing_is_refused_and_says_what_is_near(selection: str, told: str) -> None:
    with pytest.raises(SelectionError, match=told.replace("+", r"\+")):
        names(selection)


def test_dags_wait_for_those_upstream_also_through_what_was_not_chosen_and_streams_are_left_alone() -> None:
    chosen = select(["bronze/profiles", "gold/USERS", "+gold/DAILY_FRAUD"], ASSETS)
    assert order(chosen, ASSETS) == {
        "bronze_profiles": set(),
        "gold_profiles": {"bronze_profiles"},
        "silver_transactions": set(),
        "gold_daily_fraud": {"silver_transactions"},
    }
    assert [spec.name for spec in left_alone(chosen)] == [
        "transactions",
        "bronze/transactions-folder",
        "fraud/FraudTransaction",
        "fraud/GenuineTransaction",
    ]


class FakeAirflow:
    """Runs that take three looks each; ``failing`` ones fail."""

    def __init__(self, failing: str = "", paused: str = "", slow: bool = False) -> None:
        self.failing, self.paused, self.slow = failing, paused, slow
        self.told: list[str] = []
        self.looks: dict[str, int] = {}

    def dags(self) -> list[dict[str, Any]]:
        known = {spec.producer for spec in ASSETS.values() if spec.producer}
        return [
            {"dag_id": dag, "is_paused": dag == self.paused, "is_backfillable": dag == "gold_daily_fraud"}
            for dag in known
        ]

    def trigger(self, dag_id: str, conf: object = None) -> str:
        self.told.append(f"{dag_id} begins" + (f" with {conf}" if conf else ""))
        return "manual"

    def run(self, dag_id: str, _run: str) -> dict[str, Any]:
        self.looks[dag_id] = self.looks.get(dag_id, 0) + 1
        if self.slow or self.looks[dag_id] < 3:
            return {"state": "running"}
        self.told.append(f"{dag_id} ends")
        return {"state": "failed" if dag_id == self.failing else "success"}

    def tasks(self, dag_id: str, _run: str) -> list[dict[str, Any]]:
        failed = dag_id == self.failing
        return [{"task_id": "clean", "state": "failed" if failed else "success"}, {"task_id": "after", "state": None}]


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "PAUSE_SECONDS", 0.0)


def make(airflow: FakeAirflow, *selection: str, seconds: float = 60) -> list[str]:
    said: list[str] = []
    materialize(airflow, order(select(selection, ASSETS), ASSETS), seconds, said.append)  # type: ignore[arg-type]
    return said


def test_a_dag_begins_when_those_before_it_have_ended_and_others_run_beside_it() -> None:
    airflow = FakeAirflow()
    said = make(airflow, "silver/profiles+", "silver/merchants+")
    assert set(airflow.told[:2]) == {"silver_profiles begins", "silver_merchants begins"}
    for domain in ("profiles", "merchants"):
        assert airflow.told.index(f"silver_{domain} ends") < airflow.told.index(f"gold_{domain} begins")
    assert sum("done in" in line for line in said) == 4


def test_the_first_failure_ends_it_and_names_the_task() -> None:
    airflow = FakeAirflow(failing="silver_profiles")
    with pytest.raises(RunFailedError, match="silver_profiles failed: the task clean"):
        make(airflow, "silver/profiles+")
    assert "gold_profiles begins" not in airflow.told


def test_what_would_never_run_is_refused_and_what_takes_too_long_is_told() -> None:
    airflow = FakeAirflow(paused="gold_profiles")
    with pytest.raises(RunFailedError, match="gold_profiles is paused"):
        make(airflow, "silver/profiles+")
    assert airflow.told == []
    with pytest.raises(RunFailedError, match="silver_profiles did not end in 0 s"):
        make(FakeAirflow(slow=True), "silver/profiles", seconds=0)


def test_days_of_silver_are_one_run_and_what_has_no_days_says_what_to_do() -> None:
    airflow: Any = FakeAirflow()
    days = date(2026, 1, 30), date(2026, 1, 31)
    make_days_anew(airflow, select(["silver/transactions"], ASSETS), *days, 2, 60, lambda _: None)
    assert airflow.told[0] == "silver_transactions begins with {'from': '2026-01-30', 'to': '2026-01-31'}"
    with pytest.raises(NoDaysError, match=r"gold/USERS is made as a whole, .*materialize 'gold/USERS'"):
        make_days_anew(airflow, select(["gold/USERS"], ASSETS), *days, 2, 60, lambda _: None)
    with pytest.raises(NoDaysError, match="a backfill is of one asset"):
        make_days_anew(airflow, select(["group:gold"], ASSETS), *days, 2, 60, lambda _: None)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["gold/DAILY_FRAUD", "--from", "2026-02-30", "--to", "2026-03-01"], "is no day such as"),
        (["gold/DAILY_FRAUD", "--from", "2026-02-02", "--to", "2026-02-01"], "is after --to"),
        (["gold/DAILY_FRAUD", "--from", "9998-01-01", "--to", "9998-01-01"], "is yet to come"),
        (["gold/NOTHING", "--from", "2026-02-01", "--to", "2026-02-01"], "there is no asset"),
        (["gold/USERS", "--from", "2026-02-01", "--to", "2026-02-01"], "is made as a whole"),
    ],
)
def test_a_backfill_that_makes_no_sense_ends_with_2(
    arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from include.materialize.cli import backfill_command

    monkeypatch.setattr(AirflowApi, "from_environment", FakeAirflow)
    answer = CliRunner().invoke(alone(backfill_command), arguments, env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})
    assert answer.exit_code == 2
    assert told in answer.output
