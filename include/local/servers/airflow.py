"""Airflow: its configuration, all of it by environment variables, its four processes, and who looks after them."""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

from include.files import write_private
from include.local.layout import Stack
from include.local.ports import HOST
from include.local.secrets import Secrets
from include.local.servers import clients, kafka, minio, postgres
from include.local.servers.process import Process
from include.local.setup.environment import own_environment, program_environment
from include.local.setup.jars import jar_folder
from include.local.setup.java import Java
from include.pools import pools_for
from include.spark.home import make_spark_home
from include.stack.steps import Task
from include.warehouse.databases import AIRFLOW_OWNER, WAREHOUSE_OWNER

COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
WATCHDOG = "airflow-watchdog"
REJECTED_SHARE = "PAYLAKE_MAX_REJECTED_SHARE"
"""A setting of the user's that reaches the tasks; ``include.quality.limit`` reads it."""
# The scheduler and the triggerer would each serve their logs to the whole network; here the UI reads them as files.
FLAGS = {"scheduler": ["--skip-serve-logs"], "triggerer": ["--skip-serve-logs"]}


POOLS = pools_for(len(os.sched_getaffinity(0)))


def prepare(stack: Stack, secrets: Secrets) -> None:
    """Write the files that Airflow and the Spark jobs it starts read."""
    stack.task_logs.mkdir(parents=True, exist_ok=True)
    write_private(stack.airflow_passwords, json.dumps({clients.AIRFLOW_USER: secrets.airflow_password}) + "\n")
    make_spark_home(stack.spark, jar_folder(stack, "spark"), stack.spark)


def migrate(stack: Stack, secrets: Secrets, java: Java, task: Task) -> None:
    """Bring the metadata database to this version of Airflow; done once per version."""
    marker = stack.airflow_home / "migrated-to"
    wanted = version("apache-airflow")
    if marker.exists() and marker.read_text() == wanted:
        return
    environment = own_environment(stack.stack_id) | airflow_environment(stack, secrets, java)
    task.command([program(), "db", "migrate"], environment=environment)
    marker.write_text(wanted)


def processes(stack: Stack, secrets: Secrets, java: Java) -> list[Process]:
    """The processes under supervisor."""
    environment = airflow_environment(stack, secrets, java)
    components = [
        Process(
            name=f"airflow-{component}",
            command=[program(), component, *FLAGS.get(component, [])],
            environment=environment,
            address=clients.airflow_url(stack) if component == "api-server" else "",
            group_name="scheduler" if component == "scheduler" else "airflow",
            needs_port=stack.ports.postgres,
            cwd=str(stack.airflow_home),
        )
        for component in COMPONENTS
    ]
    return [*components, _watchdog(stack)]


def _watchdog(stack: Stack) -> Process:
    return Process(
        name=WATCHDOG,
        command=[sys.executable, "-P", "-m", "include.local.supervision.watchdog"],
        environment={
            "PYTHONPATH": str(stack.clone),
            "PAYLAKE_HOME": str(stack.home),
            "PAYLAKE_CACHE": str(stack.cache),
        },
        group_name="airflow",
    )


def airflow_environment(stack: Stack, secrets: Secrets, java: Java) -> dict[str, str]:
    """Everything an Airflow process, or ``./paylake airflow``, has to know."""
    url = clients.airflow_url(stack)
    configuration: dict[str, dict[str, object]] = {
        "core": {
            "dags_folder": stack.clone / "airflow" / "dags",
            "plugins_folder": stack.clone / "airflow" / "plugins",
            "fernet_key": secrets.airflow_fernet_key,
            "execution_api_server_url": f"{url}/execution/",
            "simple_auth_manager_users": f"{clients.AIRFLOW_USER}:admin",
            "simple_auth_manager_passwords_file": stack.airflow_passwords,
        },
        "database": {
            "sql_alchemy_conn": postgres.dsn(stack, secrets, "airflow").replace("postgresql", "postgresql+psycopg2", 1),
        },
        "api": {
            "host": HOST,
            "port": stack.ports.airflow,
            "base_url": url,
            "secret_key": secrets.airflow_api_secret,
        },
        "api_auth": {"jwt_secret": secrets.airflow_jwt_secret},
        "logging": {"base_log_folder": stack.task_logs},
    }
    return {
        **_common_settings(stack),
        **{
            f"AIRFLOW__{section.upper()}__{name.upper()}": str(value)
            for section, values in configuration.items()
            for name, value in values.items()
        },
        **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in _connections(stack, secrets).items()},
        # Also where it is not set: supervisor may have it from an earlier start.
        REJECTED_SHARE: os.environ.get(REJECTED_SHARE, ""),
        **clients.store_environment(stack, secrets),
        **program_environment(stack, java),
    }


def _common_settings(stack: Stack) -> dict[str, str]:
    """What Airflow is told in every kind of stack."""
    lines = (stack.clone / "airflow" / "airflow.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def _connections(stack: Stack, secrets: Secrets) -> dict[str, dict[str, object]]:
    return {
        "kafka_default": {
            "conn_type": "kafka",
            "extra": {"bootstrap.servers": kafka.bootstrap_servers(stack), "group.id": "paylake"},
        },
        "lake_s3": {
            "conn_type": "aws",
            "login": minio.USER,
            "password": secrets.minio_password,
            "extra": {"endpoint_url": f"http://{HOST}:{stack.ports.minio}", "region_name": clients.REGION},
        },
        "warehouse": {
            "conn_type": "postgres",
            "host": HOST,
            "port": stack.ports.postgres,
            "login": WAREHOUSE_OWNER,
            "password": secrets.warehouse_password,
            "schema": "warehouse",
        },
        "airflow_db": {
            "conn_type": "postgres",
            "host": HOST,
            "port": stack.ports.postgres,
            "login": AIRFLOW_OWNER,
            "password": secrets.airflow_db_password,
            "schema": "airflow",
        },
        "spark_default": {"conn_type": "spark", "host": "local[*]", "extra": {"deploy-mode": "client"}},
    }


def program() -> str:
    """Airflow's own command line."""
    return str(Path(sys.executable).with_name("airflow"))
