"""The DAGs: they load quickly, say what they are, and make exactly the graph that the design draws."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from include.pools import pools_for

ROOT = Path(__file__).parents[2]
DAGS = ROOT / "airflow" / "dags"
SETTINGS = dict(
    line.split("=", 1)
    for line in (ROOT / "airflow" / "airflow.env").read_text().splitlines()
    if line and not line.startswith("#")
)

STREAMS = {"generate_transactions", "bronze_transactions", "fraud_stream"}
MANUAL = {"generate_reference", "reset_topics"}
CHECKS = {"verify_books"}
UPKEEP = {"retention"}
RULES = {"rules_backtest", "rules_promotion"}
WATCH = {"freshness"}
SELDOM = {"silver_transactions"}
BY_DAY = {"gold_daily_fraud"}
BATCHES = {
    f"{layer}_{domain}" for layer in ("bronze", "silver", "gold") for domain in ("profiles", "merchants", "accounts")
}

# From the asset in a DAG's schedule to the DAG, from a DAG to its outlets: the view "Scheduling" of the asset graph.
SCHEDULING = {
    ("generate_reference", "user_profiles"),
    ("user_profiles", "bronze_profiles"),
    ("bronze_profiles", "bronze/profiles-folder"),
    ("bronze/profiles-folder", "silver_profiles"),
    ("silver_profiles", "silver/processed-profiles"),
    ("silver/processed-profiles", "gold_profiles"),
    ("gold_profiles", "gold/USERS"),
    ("generate_reference", "merchant_info"),
    ("merchant_info", "bronze_merchants"),
    ("bronze_merchants", "bronze/merchant-folder"),
    ("bronze/merchant-folder", "silver_merchants"),
    ("silver_merchants", "silver/processed-merchants"),
    ("silver/processed-merchants", "gold_merchants"),
    ("gold_merchants", "gold/MERCHANTS"),
    ("generate_reference", "account_balances"),
    ("account_balances", "bronze_accounts"),
    ("bronze_accounts", "bronze/account-folder"),
    ("bronze/account-folder", "silver_accounts"),
    ("silver_accounts", "silver/processed-accounts"),
    ("silver/processed-accounts", "gold_accounts"),
    ("gold_accounts", "gold/ACCOUNTS"),
    ("generate_transactions", "transactions"),
    ("generate_transactions", "transaction_labels"),
    ("transactions", "bronze_transactions"),
    ("bronze_transactions", "bronze/transactions-folder"),
    ("bronze/transactions-folder", "fraud_stream"),
    ("bronze/transactions-folder", "silver_transactions"),
    ("transactions/every-million", "silver_transactions"),
    ("silver_transactions", "silver/processed-transactions"),
    ("silver/processed-transactions", "gold_daily_fraud"),
    ("gold_daily_fraud", "gold/DAILY_FRAUD"),
    ("fraud_stream", "fraud/FraudTransaction"),
    ("fraud_stream", "fraud/GenuineTransaction"),
    ("verify_books", "checks/books"),
}
# What is only looked up, which the view "Data" adds: with it, the graph is one connected picture.
LOOKED_UP = {
    ("gold/MERCHANTS", "fraud_stream"),
    ("checks/books", "freshness"),
    ("fraud/FraudTransaction", "gold_daily_fraud"),
    ("fraud/GenuineTransaction", "gold_daily_fraud"),
} | {
    (asset, "verify_books")
    for _, asset in SCHEDULING
    if asset.split("/")[0] in ("bronze", "silver", "gold", "fraud") and "/" in asset and asset != "gold/DAILY_FRAUD"
}
GROUPS = {
    "kafka": {
        *("user_profiles", "merchant_info", "account_balances", "transactions", "transaction_labels"),
        "transactions/every-million",
    },
    "bronze": {f"bronze/{folder}-folder" for folder in ("profiles", "merchant", "account", "transactions")},
    "silver": {f"silver/processed-{folder}" for folder in ("profiles", "merchants", "accounts", "transactions")},
    "gold": {"gold/USERS", "gold/MERCHANTS", "gold/ACCOUNTS", "gold/DAILY_FRAUD"},
    "fraud": {"fraud/FraudTransaction", "fraud/GenuineTransaction"},
    "checks": {"checks/books"},
}
URIS = {
    "user_profiles": "kafka://kafka/user_profiles",
    "bronze/profiles-folder": "s3://bronze/profiles-folder",
    "silver/processed-merchants": "s3://silver/processed-merchants",
    "gold/USERS": "postgres://warehouse:5432/warehouse/public/users",
    "fraud/FraudTransaction": "postgres://warehouse:5432/warehouse/public/fraudtransaction",
}


@pytest.fixture(scope="module")
def dags(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        from airflow import plugins_manager
        from airflow.dag_processing.dagbag import DagBag

        from paylake_plugin import PaylakePlugin

        # As Airflow finds them in its folder of plugins, which it has read by now if another test has asked for any.
        ours = {f"{one.__module__}.{one.__qualname__}": one for one in PaylakePlugin.timetables}
        patch.setattr(plugins_manager, "get_timetables_plugins", lambda: ours)
        bag = DagBag(dag_folder=str(DAGS))
        assert bag.import_errors == {}
        yield bag.dags


def assets_of(dags: dict[str, Any]) -> dict[str, Any]:
    """All assets by name."""
    from airflow.sdk import Asset

    found: dict[str, Any] = {}
    for dag in dags.values():
        condition = getattr(dag.timetable, "asset_condition", None)
        wakers = getattr(condition, "objects", [condition] if condition else [])
        # A schedule of our own keeps Airflow's stored form, without the watchers.
        wakers = [one for one in wakers if isinstance(one, Asset)]
        for asset in [*wakers, *(asset for task in dag.tasks for asset in [*task.inlets, *task.outlets])]:
            assert found.setdefault(asset.name, asset) is asset, "a second definition could drop the watchers"
    return found


def scheduling_edges(dags: dict[str, Any]) -> set[tuple[str, str]]:
    """What Airflow itself stores for its graph."""
    from airflow.serialization.serialized_objects import DagSerialization

    edges = set()
    for dag in dags.values():
        for dependency in DagSerialization.to_dict(dag)["dag"]["dag_dependencies"]:
            assert dependency["dependency_type"] == "asset"
            name = dependency["label"]
            woken = dependency["source"] == "asset"
            edges.add((name, dependency["target"]) if woken else (dependency["source"], name))
    return edges


def data_edges(dags: dict[str, Any]) -> set[tuple[str, str]]:
    read = {(asset.name, dag.dag_id) for dag in dags.values() for task in dag.tasks for asset in task.inlets}
    return read | {(dag.dag_id, asset.name) for dag in dags.values() for task in dag.tasks for asset in task.outlets}


def test_there_is_one_dag_per_domain_and_layer_and_one_for_each_other_job(dags: dict[str, Any]) -> None:
    assert set(dags) == BATCHES | SELDOM | BY_DAY | STREAMS | MANUAL | CHECKS | UPKEEP | RULES | WATCH


def test_the_graph_of_the_schedules_is_the_design(dags: dict[str, Any]) -> None:
    assert scheduling_edges(dags) == SCHEDULING


def test_the_graph_of_the_data_also_has_what_is_looked_up(dags: dict[str, Any]) -> None:
    assert data_edges(dags) == SCHEDULING | LOOKED_UP


def test_the_graph_of_the_data_is_one_connected_picture(dags: dict[str, Any]) -> None:
    edges = data_edges(dags)
    reached, fresh = set(), {"user_profiles"}
    while fresh:
        reached |= fresh
        fresh = {b if a in fresh else a for a, b in edges if a in fresh or b in fresh} - reached
    assert reached == {node for edge in edges for node in edge}


def test_assets_are_grouped_by_layer_and_described(dags: dict[str, Any]) -> None:
    found = assets_of(dags)
    assert {group: {asset.name for asset in found.values() if asset.group == group} for group in GROUPS} == GROUPS
    assert all(len(asset.extra["description"]) > 20 for asset in found.values())
    for name, uri in URIS.items():
        assert found[name].uri == uri
        assert found[name].normalized_uri is not None, "the provider of its scheme knows this URI"


def test_every_asset_is_in_the_registry_with_owners_columns_and_the_graphs_own_edges(dags: dict[str, Any]) -> None:
    from include.assets.registry import ASSETS

    found = assets_of(dags)
    assert set(found) == set(ASSETS)
    for name, asset in found.items():
        assert asset.extra == ASSETS[name].extra()
        assert (asset.uri, asset.group) == (ASSETS[name].uri, ASSETS[name].group)
        assert asset.extra["owners"]
        assert asset.extra["columns"]
        assert all(column["name"] and column["type"] and column["made_by"] for column in asset.extra["columns"])
    drawn = {
        (inlet.name, outlet.name)
        for dag in dags.values()
        for task in dag.tasks
        for inlet in task.inlets
        for outlet in task.outlets
    }
    told = {(before, spec.name) for spec in ASSETS.values() for before in (*spec.inputs, *spec.looks_at)}
    # A trigger, no task, makes the one of the other.
    assert told == drawn | {("transactions", "transactions/every-million")}
    makers = {asset.name: dag.dag_id for dag in dags.values() for task in dag.tasks for asset in task.outlets}
    assert {name: spec.producer for name, spec in ASSETS.items() if spec.producer} == makers


def test_topics_are_watched_but_for_that_of_the_stream_which_tells_by_the_million(dags: dict[str, Any]) -> None:
    watched = {
        asset.name: [(one.trigger.serialize()[1]["topic"], one.trigger.serialize()[1]["records"])]
        for asset in assets_of(dags).values()
        for one in asset.watchers
    }
    every = {topic: [(topic, 1)] for topic in ("user_profiles", "merchant_info", "account_balances")}
    assert watched == every | {"transactions/every-million": [("transactions", 1_000_000)]}


def test_silver_of_transactions_runs_every_quarter_of_an_hour(dags: dict[str, Any]) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    dag = DagSerialization.from_dict(DagSerialization.to_dict(dags["silver_transactions"]))
    runs = [dag.next_dagrun_info(last_automated_run_info=None)]
    for _ in range(4):
        runs.append(dag.next_dagrun_info(last_automated_run_info=runs[-1]))
    moments = [run.run_after.timestamp() for run in runs if run]
    assert {later - earlier for earlier, later in pairwise(moments)} == {15 * 60}
    assert dag.get_task("clean").pool == "spark_batch"


def test_days_are_made_anew_when_silver_tells_of_them_twice_an_hour_and_by_a_backfill(dags: dict[str, Any]) -> None:
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.utils.types import DagRunType

    dag = DagSerialization.from_dict(DagSerialization.to_dict(dags["gold_daily_fraud"]))
    schedule = dag.timetable
    (woken_by,) = [asset for _, asset in schedule.asset_condition.iter_assets()]
    mapper = schedule.get_partition_mapper(name=woken_by.name)
    assert (woken_by.name, schedule.partitioned) == ("silver/processed-transactions", True)
    assert mapper.to_downstream("2026-01-31") == "2026-01-31"
    assert mapper.to_partition_date("2026-01-31") == datetime(2026, 1, 31, tzinfo=UTC)
    with pytest.raises(ValueError, match="does not match"):
        mapper.to_downstream("yesterday")

    first = dag.next_dagrun_info(last_automated_run_info=None)
    second = dag.next_dagrun_info(last_automated_run_info=first)
    assert first
    assert second
    assert second.run_after - first.run_after == timedelta(minutes=30)
    assert first.partition_key == f"{first.run_after:%Y-%m-%d}"

    assert schedule.periodic, "or Airflow refuses backfills"
    begin = datetime(2026, 2, 27, tzinfo=UTC)
    days = list(dag.iter_dagrun_infos_between(begin, begin + timedelta(days=2)))
    assert [day.partition_key for day in days] == ["2026-02-27", "2026-02-28", "2026-03-01"]
    named: dict[str, Any] = {"run_type": DagRunType.BACKFILL_JOB, "run_after": begin, "data_interval": None}
    ids = {schedule.generate_run_id(**named, partition_key="2026-02-27") for _ in range(2)}
    assert len(ids) == 2, "a day is made anew as often as one likes"
    today = datetime.now(UTC)
    until = list(dag.iter_dagrun_infos_between(today - timedelta(days=1), today + timedelta(days=400)))
    assert until[-1].run_after <= datetime.now(UTC), "from a run of a time to come Airflow would reckon the next"


def test_every_topic_asset_is_a_topic_that_paylake_makes(dags: dict[str, Any]) -> None:
    from include.kafka.topics import LABELS_TOPIC, TOPICS
    from paylake_airflow import assets

    assert GROUPS["kafka"] - {"transactions/every-million"} == set(TOPICS)
    assert assets.LABELS.name == LABELS_TOPIC
    offered = dags["reset_topics"].params.get_param("topics").schema
    assert set(offered["examples"]) == set(offered["items"]["enum"]) == set(TOPICS)


def test_every_dag_says_why_it_fires_and_whose_it_is(dags: dict[str, Any]) -> None:
    layers = {
        **dict.fromkeys(STREAMS | MANUAL, "kafka"),
        **dict.fromkeys(CHECKS | WATCH, "checks"),
        "bronze_transactions": "bronze",
        **dict.fromkeys({"fraud_stream"} | RULES, "fraud"),
    }
    from airflow.utils.types import DagRunType

    for dag_id, dag in dags.items():
        assert "**Fires**" in dag.doc_md, dag_id
        assert dag.tags == {layers.get(dag_id, dag_id.split("_")[0])}
        assert dag.catchup is False
        if dag_id in BY_DAY:
            continue
        assert dag.max_active_runs == 1
        assert {run.value for run in DagRunType} - {run.value for run in dag.allowed_run_types} == {"backfill"}, (
            "a backfill has runs beside the one that is allowed, and nothing to do that is not done already"
        )
        assert {task.owner for task in dag.tasks} == {"paylake"}


def test_bounded_tasks_have_a_limit_and_try_again_after_growing_pauses(dags: dict[str, Any]) -> None:
    for dag_id in BATCHES | SELDOM | BY_DAY | MANUAL | UPKEEP | RULES | WATCH:
        for task in dags[dag_id].tasks:
            if task.task_id == "approve":
                continue  # It waits for a person, without a process: see its own test.
            assert task.execution_timeout is not None, (dag_id, task.task_id)
            if task.task_id not in ("ensure_confirmed", "reset"):
                assert task.retries >= 3
                assert task.retry_exponential_backoff > 1
                assert task.max_retry_delay <= timedelta(minutes=10)


def test_streams_run_without_end_in_a_pool_of_their_own_and_come_back_soon_however_often_they_fell(
    dags: dict[str, Any],
) -> None:
    for dag_id in STREAMS:
        (task,) = dags[dag_id].tasks
        assert dags[dag_id].start_date is not None, "see defaults.STREAM_START"
        assert task.execution_timeout is None
        assert task.pool == "streams"
        assert not task.retry_exponential_backoff
        assert timedelta(seconds=5) <= task.retry_delay <= timedelta(seconds=10)
    assert {dags[dag_id].get_task("clean").pool for dag_id in BATCHES if dag_id.startswith("silver")} == {"spark_batch"}


@pytest.mark.parametrize("processors", [1, 2, 3, 4, 8, 16, 128])
def test_no_combination_of_pools_keeps_a_stream_waiting_for_a_slot(dags: dict[str, Any], processors: int) -> None:
    pools = pools_for(processors)
    assert sum(pool.slots for pool in pools.values()) <= int(SETTINGS["AIRFLOW__CORE__PARALLELISM"])
    in_pool = {
        name: {dag_id for dag_id, dag in dags.items() for task in dag.tasks if task.pool == name} for name in pools
    }
    assert in_pool["streams"] == STREAMS
    assert len(STREAMS) <= pools["streams"].slots
    assert in_pool["verification"] == CHECKS, "it reads all of Kafka, and waits for layers that are late"
    assert set.union(*in_pool.values()) == set(dags)
    assert all(task.pool in pools and task.pool_slots == 1 for dag in dags.values() for task in dag.tasks)


def test_a_stream_that_ended_begins_anew(dags: dict[str, Any]) -> None:
    """Airflow skips a run whose logical date another run has, silently and for ever."""
    from airflow.serialization.serialized_objects import DagSerialization

    for dag_id in STREAMS:
        dag = DagSerialization.from_dict(DagSerialization.to_dict(dags[dag_id]))
        first = dag.next_dagrun_info(last_automated_run_info=None)
        second = dag.next_dagrun_info(last_automated_run_info=first)
        third = dag.next_dagrun_info(last_automated_run_info=second)
        assert len({run.logical_date for run in (first, second, third) if run}) == 3


def test_a_reset_is_confirmed_then_drained_then_done_once(dags: dict[str, Any]) -> None:
    dag = dags["reset_topics"]
    order = ["ensure_confirmed", "drain", "reset"]
    assert [dag.get_task(task_id).downstream_task_ids for task_id in order] == [{"drain"}, {"reset"}, set()]
    assert dag.get_task("reset").retries == 0, "a second try would delete what arrived since the first"


def test_a_verification_tells_what_it_found_and_then_fails_at_once_if_it_must(dags: dict[str, Any]) -> None:
    dag = dags["verify_books"]
    assert dag.get_task("verify").downstream_task_ids == {"require_balance"}
    assert [asset.name for asset in dag.get_task("verify").outlets] == ["checks/books"]
    assert all(task.retries == 0 and task.execution_timeout is not None for task in dag.tasks)


def test_rules_are_promoted_after_a_check_a_back_test_and_somebodys_yes(dags: dict[str, Any]) -> None:
    dag = dags["rules_promotion"]
    order = ["check", "back_test", "approve", "promote"]
    assert [dag.get_task(task_id).downstream_task_ids for task_id in order] == [{one} for one in order[1:]] + [set()]
    approve = dag.get_task("approve")
    assert (approve.execution_timeout, approve.response_timeout) == (None, timedelta(days=7))
    assert approve.defaults == ["Reject"], "what nobody answers changes nothing"
    assert all(task.trigger_rule == "all_success" for task in dag.tasks)
    for dag_id, required in (("rules_promotion", False), ("rules_backtest", True)):
        params = dags[dag_id].params
        assert {"rules", "since", "until"} <= set(params)
        assert ("null" in params.get_param("rules").schema["type"]) is required


def test_silver_tells_what_it_did_and_then_its_run_fails_while_an_alarm_is_open(dags: dict[str, Any]) -> None:
    for dag_id in BATCHES:
        if dag_id.startswith("silver"):
            clean, require = dags[dag_id].get_task("clean"), dags[dag_id].get_task("require_acceptance")
            assert len(clean.outlets) == 1
            assert (clean.downstream_task_ids, require.downstream_task_ids) == ({"require_acceptance"}, set())
            assert require.trigger_rule == "none_failed", "it looks also when there was nothing to clean"
            assert require.outlets == []
            assert require.pool == "default_pool", "it does not wait for a Spark job of another domain"


def test_a_silver_job_takes_others_along_but_not_those_that_are_paused(dags: dict[str, Any]) -> None:
    instance = SimpleNamespace(get_dag=lambda dag_id: SimpleNamespace(is_paused=dag_id == "silver_accounts"))
    clean = dags["silver_merchants"].get_task("clean")
    assert set(clean.others.values()) == {"silver_accounts", "silver_profiles"} <= dags.keys()
    assert clean._others_at_work({"ti": instance}) == ["profiles"]


def test_a_stuck_partition_fails_the_run_after_the_others_were_told_of(dags: dict[str, Any]) -> None:
    for name in ("profiles", "merchants", "accounts"):
        dag = dags[f"bronze_{name}"]
        assert dag.get_task("ingest").downstream_task_ids == {"require_readable"}
        assert dag.get_task("ingest").outlets
        # Also after a run that found nothing new, and was skipped.
        assert dag.get_task("require_readable").trigger_rule == "none_failed"


def test_no_address_or_secret_is_in_what_airflow_renders_of_a_job(dags: dict[str, Any]) -> None:
    for dag_id, task_id in (("fraud_stream", "judge"), ("silver_profiles", "clean")):
        task = dags[dag_id].get_task(task_id)
        assert task.env_vars is None
        assert Path(task.application).is_relative_to(ROOT)
        assert Path(task.application).name in ("fraud_stream.py", "silver.py")


def test_parsing_imports_nothing_heavy(tmp_path: Path) -> None:
    """The dag-processor parses the files again and again, on the two cores that the streams need."""
    heavy = {"pyspark", "faker", "confluent_kafka", "pandas", "pyarrow", "psycopg", "pyiceberg", "country_converter"}
    code = f"""
import pathlib, runpy, sys
for file in pathlib.Path({str(DAGS)!r}).glob("*.py"):
    runpy.run_path(str(file))
    print(*({heavy!r} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            "AIRFLOW_HOME": str(tmp_path),
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'airflow' / 'plugins'}",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n") == [*([""] * len(list(DAGS.glob("*.py")))), ""]


def test_a_topic_is_watched_half_a_minute_after_its_dag_was_released() -> None:
    """Airflow begins to watch an asset when it reads a file after that; its own interval is 30 s."""
    assert int(SETTINGS.get("AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL", "30")) <= 30
