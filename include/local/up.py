"""``./paylake up``: the steps from nothing, or from whatever is there, to a stack that works."""

from __future__ import annotations

from rich.console import Console

from include.domains import Generator
from include.local.layout import Stack
from include.local.servers import airflow, clients, kafka, postgres
from include.local.setup import minio_build
from include.local.setup.cache import remove_unused
from include.local.setup.class_archive import use_class_archive
from include.local.setup.jars import ensure_jars
from include.local.start import Start, bring_up
from include.stack.first_data import await_read, follow
from include.stack.steps import Step, Task
from include.warehouse.databases import ensure_databases


def up(stack: Stack, console: Console, *, traffic: bool) -> Start:
    """Make the stack run. ``traffic`` says whether the generators fill it, and whether to wait for their data.

    Raises:
        StackError: something is missing or failed. What this call started is stopped again.
    """

    def steps(start: Start) -> list[Step]:
        return store_steps(start) + spark_steps(start) + airflow_steps(start, traffic=traffic)

    return bring_up(stack, console, steps, with_airflow=True)


def start_stores_and_jars(stack: Stack, console: Console) -> Start:
    """Start Kafka, MinIO and PostgreSQL only, with topics, buckets and tables, and make Spark jobs possible.

    Raises:
        StackError: as for ``up``.
    """
    return bring_up(stack, console, lambda start: store_steps(start) + spark_steps(start), with_airflow=False)


def store_steps(start: Start) -> list[Step]:
    """The servers that hold data, each as far as it can go without the others."""
    from include.stack import stores  # what other parts of Paylake need is loaded when it is used

    stack, secrets, java = start.stack, start.secrets, start.java
    settings = clients.settings(stack, secrets)
    return [
        Step("kafka-jars", "Kafka's jars", lambda task: ensure_jars(stack, "kafka", java, task)),
        Step("minio-build", "MinIO, built from source", lambda task: minio_build.ensure_binary(stack, task)),
        Step("postgres-files", "PostgreSQL's files", lambda task: postgres.prepare(stack, secrets, task)),
        Step("postgres", "PostgreSQL", lambda task: start.run(task, "postgres"), after=("postgres-files",)),
        Step(
            "databases",
            "Databases and roles",
            lambda task: make_databases(start),
            after=("postgres",),
        ),
        Step("tables", "Warehouse tables", lambda task: stores.make_tables(settings), after=("databases",)),
        Step("kafka-files", "Kafka's storage", lambda task: kafka.prepare(stack, java, task), after=("kafka-jars",)),
        Step("kafka", "Kafka", lambda task: start.run(task, "kafka"), after=("kafka-files",)),
        Step("topics", "Kafka topics", lambda task: stores.make_topics(settings), after=("kafka",)),
        Step("minio", "MinIO", lambda task: start.run(task, "minio"), after=("minio-build",)),
        Step("buckets", "Buckets", lambda task: stores.make_buckets(settings), after=("minio",)),
    ]


def make_databases(start: Start) -> None:
    """Make the databases and roles that are missing."""
    administrator = postgres.dsn(start.stack, start.secrets, "postgres")
    ensure_databases(administrator, start.secrets.warehouse_password, start.secrets.airflow_db_password)


def spark_steps(start: Start) -> list[Step]:
    """What Spark jobs, and Airflow, which starts them, read from files."""
    stack, secrets, java = start.stack, start.secrets, start.java
    return [
        Step("spark-jars", "Spark's jars", lambda task: ensure_jars(stack, "spark", java, task)),
        Step("airflow-files", "Airflow's configuration", lambda task: airflow.prepare(stack, secrets)),
        Step(
            "class-archive",
            "Spark's classes",
            lambda task: use_class_archive(stack, java, task),
            after=("spark-jars", "airflow-files"),
        ),
        # Last, when all that this stack needs is there and marked as used.
        Step(
            "cache",
            "What the cache no longer needs",
            lambda task: remove_unused(stack.cache, postgres.OPEN_FOLDER),
            after=("kafka-jars", "minio-build", "postgres-files", "class-archive"),
        ),
    ]


def airflow_steps(start: Start, *, traffic: bool) -> list[Step]:
    """Airflow, once everything its tasks need is there; then the first data."""
    stack, secrets, java = start.stack, start.secrets, start.java
    ready = ("spark-jars", "migrate", "tables", "topics", "buckets")
    components = [f"airflow-{component}" for component in airflow.COMPONENTS]
    steps = [
        Step(
            "migrate",
            "Airflow's database",
            lambda task: airflow.migrate(stack, secrets, java, task),
            after=("databases", "airflow-files"),
        ),
        *(_server_step(start, name, ready) for name in components),
        _server_step(start, airflow.WATCHDOG, tuple(components)),
        Step("dags", "DAGs", lambda task: release_dags(start, task, traffic=traffic), after=tuple(components)),
    ]
    if traffic:
        api, settings = clients.airflow_api(stack, secrets), clients.settings(stack, secrets)
        steps.append(Step("data", "First data", lambda task: follow(api, settings, task), after=("dags",)))
    return steps


def release_dags(start: Start, task: Task, *, traffic: bool) -> str:
    """Make the pools, wait until every DAG file was read, and unpause the DAGs that were not released before.

    What a user has paused since stays paused. Without ``traffic`` both generators stay paused.

    Raises:
        StackError: a DAG file can not be imported, or was not read in time.
    """
    api = clients.airflow_api(start.stack, start.secrets)
    for name, pool in airflow.POOLS.items():
        api.ensure_pool(name, *pool)
    await_read(api, start.stack.clone / "airflow" / "dags", task)
    marker = start.stack.airflow_home / "released-dags"
    released = set(marker.read_text().split()) if marker.exists() else set()
    dag_ids = {dag["dag_id"] for dag in api.dags()} - (set() if traffic else set(Generator))
    for dag_id in sorted(dag_ids - released):
        task.say(f"unpausing {dag_id}")
        api.unpause(dag_id)
    marker.write_text("\n".join(sorted(released | dag_ids)) + "\n")
    return f"{len(dag_ids)} at work"


def _server_step(start: Start, name: str, after: tuple[str, ...]) -> Step:
    return Step(name, name.replace("airflow-", "Airflow "), lambda task: start.run(task, name), after=after)
