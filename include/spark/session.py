"""The Spark session of every job: where S3 and the Iceberg catalog are, and what makes both safe to write to.

The jars come from the class path of ``spark-defaults.conf``, the credentials from the driver's environment: neither a
job nor ``spark-submit``'s arguments hold any. Executors, wherever they are, get them from the driver by Spark's own
connections: the JVM's with the configuration, the Python workers' as variables that travel with each function.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from pyspark.sql import SparkSession

from include.domains import BUCKET_PREFIX, CHECKPOINTS_BUCKET, SILVER_BUCKET
from include.settings import Settings

Configuration: TypeAlias = dict[str, bool | float | int | str | None]

CATALOG = "lake"
CATALOG_SCHEMA = "lake_catalog"
ROLE_PROFILE = Path(__file__).with_name("role_profile")
"""By which the JVM asks Python for the credentials of the role."""

_SPARK = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.ui.enabled": "false",
    # The data of one run is small: many partitions would be many small files and mostly overhead.
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # How long a stream sleeps that found nothing; its default would ask a hundred times a second.
    "spark.sql.streaming.pollingDelay": "50ms",
    "spark.python.daemon.module": "include.spark.worker_daemon",
    "spark.sql.catalog." + CATALOG: "org.apache.iceberg.spark.SparkCatalog",
}
# Plain Parquet writes: files appear when the job commits, without S3's missing rename.
_COMMITTERS = {
    "spark.hadoop.fs.s3a.committer.name": "magic",
    "spark.hadoop.fs.s3a.committer.magic.enabled": "true",
    "spark.sql.sources.commitProtocolClass": "org.apache.spark.internal.io.cloud.PathOutputCommitProtocol",
    "spark.sql.parquet.output.committer.class": "org.apache.spark.internal.io.cloud.BindingParquetOutputCommitter",
}
# Streaming checkpoints use Spark's default, which writes aside and renames (on S3: copies the object whole). The
# AbortableStreamBasedCheckpointFileManager is faster but hides from Spark that a file could not be written or was
# there already: it only logs a warning.


class RoleOnClusterError(RuntimeError):
    """Executors on other machines would have to assume a role, for which they lack what the driver knows."""


def spark_session(app_name: str, settings: Settings, *, source: bool = True) -> SparkSession:
    """The session of this process, with the Iceberg catalog ``lake`` and, unless ``source`` is False, the data source
    ``bronze``, for which Spark starts two Python processes.

    Creates the catalog's schema in the warehouse database when it is missing.

    Raises:
        psycopg.OperationalError: the warehouse database cannot be reached.
        RoleOnClusterError: the settings name a role to assume, and Spark does not run in this process's JVM.
    """
    create_catalog_schema(settings)
    spark = SparkSession.builder.appName(app_name).config(map=configuration(settings)).getOrCreate()
    if settings.s3_role and not str(spark.sparkContext.master).startswith("local"):
        spark.stop()
        raise RoleOnClusterError(
            "executors cannot assume the role that the connection of S3 names: let it name a profile with that role,"
            " and have the profile on each machine of the cluster"
        )
    # Not spark.executorEnv: a cluster's manager keeps and shows that, with what it knows of an application.
    spark.sparkContext.environment.update(settings.as_environment(), PAYLAKE_BUCKET_PREFIX=BUCKET_PREFIX)
    if source:
        # Not loaded, with all that it needs, where it is not used.
        from include.spark.bronze_source import BronzeDataSource

        spark.dataSource.register(BronzeDataSource)
    return spark


def configuration(settings: Settings) -> Configuration:
    """A session's settings in Spark's names."""
    return {**_SPARK, **_COMMITTERS, **_s3a(settings), **_catalog(settings)}


def create_catalog_schema(settings: Settings) -> None:
    """Create the schema of the Iceberg catalog's tables if it is missing; several callers at once do no harm."""
    with psycopg.connect(settings.warehouse_dsn) as connection:
        # IF NOT EXISTS alone fails when two sessions create it at the same moment.
        connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [CATALOG_SCHEMA])
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(CATALOG_SCHEMA)))


def jdbc_url(dsn: str, schema: str) -> tuple[str, dict[str, str]]:
    """A libpq connection string as a JDBC URL whose tables are in ``schema``, and the user and password.

    Raises:
        psycopg.ProgrammingError: it is no libpq connection string.
        ValueError: it names no host and database; JDBC speaks TCP only.
    """
    parts = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
    host, database = parts.get("host", ""), parts.get("dbname", "")
    if not host or host.startswith("/") or not database:
        raise ValueError("the warehouse's address must name a TCP host and a database for Spark to reach it")
    options = {"currentSchema": schema}
    if "sslmode" in parts:
        options["sslmode"] = parts["sslmode"]
    query = "&".join(f"{key}={quote(value)}" for key, value in options.items())
    address = f"[{host}]" if ":" in host else host
    url = f"jdbc:postgresql://{address}:{parts.get('port', '5432')}/{quote(database)}?{query}"
    credentials = {key: value for key, value in parts.items() if key in {"user", "password"}}
    return url, credentials


def _s3a(settings: Settings) -> dict[str, str]:
    options = {
        "path.style.access": "true",
        "endpoint.region": settings.s3_region,
        **_s3a_credentials(settings),
    }
    if settings.s3_endpoint_url:
        options["endpoint"] = settings.s3_endpoint_url
        options["connection.ssl.enabled"] = str(settings.s3_endpoint_url.startswith("https://")).lower()
    return {f"spark.hadoop.fs.s3a.{key}": value for key, value in options.items()}


def _s3a_credentials(settings: Settings) -> dict[str, str]:
    if settings.s3_role:
        # Hadoop's own provider for roles needs the SDK's bundle of all services, and reaches STS by TLS only.
        return {
            "aws.credentials.provider": "org.apache.hadoop.fs.s3a.auth.ProfileAWSCredentialsProvider",
            "auth.profile.file": str(ROLE_PROFILE),
            "auth.profile.name": "paylake",
        }
    if not (settings.s3_access_key_id and settings.s3_secret_access_key):
        return {"aws.credentials.provider": "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider"}
    keys = {"access.key": settings.s3_access_key_id, "secret.key": settings.s3_secret_access_key}
    if not settings.s3_session_token:
        return {**keys, "aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider"}
    return {
        **keys,
        "session.token": settings.s3_session_token,
        "aws.credentials.provider": "org.apache.hadoop.fs.s3a.TemporaryAWSCredentialsProvider",
    }


def _catalog(settings: Settings) -> dict[str, str]:
    url, credentials = jdbc_url(settings.warehouse_dsn, CATALOG_SCHEMA)
    options = {
        "type": "jdbc",
        "uri": url,
        "jdbc.schema-version": "V1",
        # A table is what the catalog says now: other processes commit to it, drop it and make it anew.
        "cache-enabled": "false",
        "warehouse": f"s3a://{SILVER_BUCKET}",
        "io-impl": "org.apache.iceberg.hadoop.HadoopFileIO",
        **{f"jdbc.{key}": value for key, value in credentials.items()},
    }
    return {f"spark.sql.catalog.{CATALOG}.{key}": value for key, value in options.items()}


def checkpoint_location(name: str) -> str:
    """Where the streaming query ``name`` keeps its checkpoint."""
    return f"s3a://{CHECKPOINTS_BUCKET}/{name}"
