"""Airflow's connections become Paylake's settings, whole and unchanged."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from psycopg.conninfo import conninfo_to_dict

from include.heartbeat import START_SECONDS, VARIABLE, Silence
from include.settings import MissingSettingError, Settings
from include.spark.session import configuration
from paylake_airflow import hooks
from paylake_airflow.operators import spark

CONNECTIONS: dict[str, dict[str, Any]] = {
    "KAFKA_DEFAULT": {"conn_type": "kafka", "extra": {"bootstrap.servers": "broker:9092", "client.id": "here"}},
    "LAKE_S3": {
        "conn_type": "aws",
        "login": "an-access-key",
        "password": "a/secret+key",
        "extra": {"endpoint_url": "http://minio:9000", "region_name": "eu-west-1"},
    },
    "WAREHOUSE": {
        "conn_type": "postgres",
        "host": "db",
        "port": 5433,
        "login": "pay lake",
        "password": "p@ss/w:rd%",
        "schema": "warehouse",
        "extra": {"sslmode": "require"},
    },
}


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, connection in CONNECTIONS.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(connection))


def test_settings_come_from_the_connections() -> None:
    lake = CONNECTIONS["LAKE_S3"]
    assert hooks.stack_settings() == Settings(
        kafka_bootstrap_servers="broker:9092",
        s3_endpoint_url="http://minio:9000",
        s3_access_key_id=lake["login"],
        s3_secret_access_key=lake["password"],
        s3_region="eu-west-1",
        warehouse_dsn=hooks.warehouse_dsn(),
        kafka_options={"client.id": "here"},
    )


def test_the_warehouse_is_a_uri_that_libpq_reads_back() -> None:
    assert conninfo_to_dict(hooks.warehouse_dsn()) == {
        "host": "db",
        "port": "5433",
        "user": "pay lake",
        "password": "p@ss/w:rd%",
        "dbname": "warehouse",
        "sslmode": "require",
    }


def test_airflows_own_database_is_named_as_airflow_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AIRFLOW_DB", "postgresql+psycopg2://airflow:p~w@db:5433/airflow?sslmode=require")
    assert hooks.airflow_dsn() == "postgresql://airflow:p~w@db:5433/airflow?sslmode=require"


def test_kafka_keeps_every_setting_of_its_connection() -> None:
    assert hooks.kafka_config() == CONNECTIONS["KAFKA_DEFAULT"]["extra"]


def test_a_managed_kafka_is_its_connection_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    login = {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.username": "u", "sasl.password": "p"}
    servers = {"bootstrap.servers": "cloud:9092"}
    extra = servers | login | {"group.id": "paylake"}
    monkeypatch.setenv("AIRFLOW_CONN_KAFKA_DEFAULT", json.dumps({"conn_type": "kafka", "extra": extra}))
    assert hooks.stack_settings().kafka_config == servers | login


@pytest.mark.parametrize("text", ["no json", "[]", '"text"'])
def test_options_of_kafka_that_are_no_object_are_refused(text: str) -> None:
    environment = hooks.stack_environment() | {"KAFKA_OPTIONS": text}
    with pytest.raises(MissingSettingError, match="KAFKA_OPTIONS is no JSON object"):
        Settings.from_environment(environment)


def test_amazon_itself_needs_no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = CONNECTIONS["LAKE_S3"] | {"extra": {"region_name": "eu-west-1"}}
    monkeypatch.setenv("AIRFLOW_CONN_LAKE_S3", json.dumps(plain))
    assert hooks.stack_environment()["S3_ENDPOINT_URL"] == ""
    assert hooks.stack_settings().s3_endpoint_url is None


AWS_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def connect_lake(monkeypatch: pytest.MonkeyPatch, connection: dict[str, Any]) -> tuple[Settings, Settings]:
    """The settings of operators, and those of a job that inherits others' credentials."""
    monkeypatch.setenv("AIRFLOW_CONN_LAKE_S3", json.dumps({"conn_type": "aws", **connection}))
    inherited = dict.fromkeys([*AWS_KEYS, "S3_ENDPOINT_URL"], "of-somebody-else")
    return hooks.stack_settings(), Settings.from_environment(inherited | hooks.stack_environment())


@pytest.mark.parametrize(
    ("extra", "token"), [({"region_name": "eu-west-1"}, None), ({"aws_session_token": "a-token"}, "a-token")]
)
def test_keys_come_with_their_own_token(
    monkeypatch: pytest.MonkeyPatch, extra: dict[str, str], token: str | None
) -> None:
    here, job = connect_lake(monkeypatch, {"login": "key", "password": "secret", "extra": extra})
    assert here == job
    assert (job.s3_access_key_id, job.s3_secret_access_key, job.s3_session_token) == ("key", "secret", token)


def test_a_profile_goes_before_keys_that_a_job_inherits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile lake]\nregion = eu-north-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    here, job = connect_lake(monkeypatch, {"extra": {"profile_name": "lake"}})
    assert here == job
    assert (job.s3_profile, job.s3_access_key_id, job.s3_region) == ("lake", None, "eu-north-1")


def test_without_keys_a_job_finds_what_its_surroundings_have(monkeypatch: pytest.MonkeyPatch) -> None:
    connect_lake(monkeypatch, {"extra": {"region_name": "eu-west-1"}})
    assert hooks.stack_settings().s3_access_key_id is None
    assert not {*AWS_KEYS, "AWS_PROFILE"} & hooks.stack_environment().keys()


def test_a_role_is_passed_on_and_not_what_it_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {
        "role_arn": "arn:aws:iam::123456789012:role/lake",
        "assume_role_kwargs": {"ExternalId": "paylake", "DurationSeconds": 3600},
        "service_config": {"sts": {"endpoint_url": "http://sts.example"}},
    }
    here, job = connect_lake(monkeypatch, {"login": "key", "password": "secret", "extra": extra})
    assert here == job
    assert job.s3_role == {"RoleArn": extra["role_arn"], "ExternalId": "paylake", "DurationSeconds": 3600}
    assert (job.s3_access_key_id, job.sts_endpoint_url) == ("key", "http://sts.example")
    assert not {"key", "secret"} & set(configuration(job).values())


def test_a_role_that_jobs_cannot_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"role_arn": "arn:aws:iam::123456789012:role/lake", "assume_role_method": "assume_role_with_saml"}
    with pytest.raises(ValueError, match="assume_role_with_saml, which jobs cannot do"):
        connect_lake(monkeypatch, {"extra": extra})


@pytest.mark.parametrize(("given", "missing"), [AWS_KEYS[:2], AWS_KEYS[1::-1]])
def test_half_a_pair_of_keys_is_refused(given: str, missing: str) -> None:
    environment = {name: text for name, text in hooks.stack_environment().items() if name not in AWS_KEYS}
    with pytest.raises(MissingSettingError, match=f"{missing} is not set"):
        Settings.from_environment(environment | {given: "x"})


def test_variables_are_set_for_the_block_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYLAKE_TEST_KEPT", "before")
    monkeypatch.delenv("PAYLAKE_TEST_NEW", raising=False)
    with hooks.environment({"PAYLAKE_TEST_KEPT": "inside", "PAYLAKE_TEST_NEW": "inside"}):
        assert os.environ["PAYLAKE_TEST_KEPT"] == os.environ["PAYLAKE_TEST_NEW"] == "inside"
    assert os.environ["PAYLAKE_TEST_KEPT"] == "before"
    assert "PAYLAKE_TEST_NEW" not in os.environ


SPARK: dict[str, Any] = {"conn_type": "spark", "extra": {"deploy-mode": "client"}}


@pytest.mark.parametrize(
    "place",
    [{"host": "local[*]"}, {"host": "yarn"}, {"host": "spark://master:7077", "extra": {"deploy-mode": "cluster"}}],
)
def test_spark_that_needs_no_address_gets_no_settings(monkeypatch: pytest.MonkeyPatch, place: dict[str, Any]) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps(SPARK | place))
    assert submitted_with(monkeypatch) == {}


@pytest.mark.parametrize(
    "place", [{"host": "spark://127.0.0.1", "port": 7077}, {"host": "spark://127.0.0.1:7077,other.example:7077"}]
)
def test_a_cluster_is_its_connection_alone(monkeypatch: pytest.MonkeyPatch, place: dict[str, Any]) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps(SPARK | place))
    address = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    assert submitted_with(monkeypatch) == {**address, "spark.cores.max": "2"}


def test_the_connections_settings_win(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"spark.cores.max": "64", "spark.driver.host": "scheduler.example", "spark.executor.memory": "4g"}
    connection = SPARK | {"host": "spark://127.0.0.1:7077", "extra": {"deploy-mode": "client", "conf": own}}
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps(connection))
    assert submitted_with(monkeypatch).items() >= own.items()


def submitted_with(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The settings with which silver's job is submitted."""
    submitted: list[dict[str, str]] = []
    monkeypatch.setattr(SparkSubmitOperator, "execute", lambda self, _: submitted.append(self.conf))
    monkeypatch.setattr(spark, "die_with_parent", lambda: None)
    spark.SparkJobOperator(task_id="clean", job="silver").execute({})
    return submitted[0]


@pytest.mark.parametrize(("mode", "allowed"), [("client", START_SECONDS), ("cluster", 0.0)])
def test_a_stream_is_watched_from_its_start_unless_its_driver_is_in_a_cluster(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: str, allowed: float
) -> None:
    silence = Silence(tmp_path)
    place = {"host": "spark://127.0.0.1:7077", "extra": {"deploy-mode": mode}}
    monkeypatch.setenv(VARIABLE, silence.file)
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", json.dumps(SPARK | place))
    monkeypatch.setattr(SparkSubmitOperator, "execute", lambda *_: None)
    monkeypatch.setattr(spark, "die_with_parent", lambda: None)
    spark.SparkStreamOperator(task_id="judge", job="fraud_stream").execute({})
    times = os.stat(silence.file)
    assert times.st_mtime - times.st_atime == pytest.approx(allowed)


def test_settings_travel_as_variables() -> None:
    there = hooks.stack_settings()
    assert Settings.from_environment(there.as_environment()) == there
