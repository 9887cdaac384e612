"""The registry of assets: one for each topic, lake folder and table, and for each check, made from that of the domains.

What is said here of an asset is in its ``extra`` in Airflow, in the shape that ``docs/assets.md`` describes. The hosts
in the URIs are names of roles, not addresses: an asset stays the same when its server moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from include.assets import columns
from include.assets.columns import AssetColumn
from include.assets.spec import AssetSpec, Freshness, Measured
from include.checks import dataquality
from include.domains import (
    BRONZE_BUCKET,
    DOMAINS,
    GOLD_DOMAINS,
    MERCHANTS,
    SILVER_BUCKET,
    TRANSACTIONS,
    Domain,
    Generator,
    Kind,
)

KAFKA = "kafka"
BRONZE = "bronze"
SILVER = "silver"
GOLD = "gold"
FRAUD = "fraud"
CHECKS = "checks"

MANY = 1_000_000
"""So many records should not wait for a quarter of an hour."""

STREAM_SECONDS = 60.0
"""A transaction that waits longer for bronze, or for its verdict, is late: both take about a second, and what a stream
needs to come back after most faults is less than this."""

BATCH_SECONDS = 600.0
"""A record of another domain that waits longer for its next layer is late: a run takes less than a minute, and what
failed is tried again within five."""

SELDOM_SECONDS = 2700.0
"""A transaction that waits longer for silver, which has no hurry, is late: a run comes every quarter of an hour."""

BOOKS_SECONDS = 7200.0
"""Books that nobody has looked at for longer are overdue: a look comes every quarter of an hour, and may take long."""

_TABLE_URI = "postgres://warehouse:5432/warehouse/public/{}"
_DOMAIN_CODE = ("include/domains.py",)
_QUALITY_CODE = ("include/cleaning", "include/quality", "include/geography.py")


def topic(domain: Domain) -> AssetSpec:
    """The domain's Kafka topic. Who produces into it, ours or not, is no asset."""
    silent_for = domain.silent_for
    silence = None if silent_for is None else Freshness(silent_for.total_seconds(), Measured.UPDATE)
    return AssetSpec(
        name=domain.topic,
        uri=f"kafka://kafka/{domain.topic}",
        group=KAFKA,
        description=f"{domain.contract.name} as they are produced, one JSON object per message.",
        columns=columns.message_columns(domain),
        code=("include/generators", *_DOMAIN_CODE),
        domain=domain,
        producer=None if domain.generator is None else str(domain.generator),
        freshness=silence,
    )


def every_million(domain: Domain) -> AssetSpec:
    """Tells whenever so many records came to the domain's topic.

    An asset of its own: what tells of the topic itself would wake the streams that read it, and they never sleep.
    """
    told = "the trigger that watches the topic"
    return AssetSpec(
        name=f"{domain.topic}/every-million",
        uri=f"kafka://kafka/{domain.topic}/every-million",
        group=KAFKA,
        description=f"Tells when {MANY:,} more messages of {domain.topic} came.",
        columns=(
            AssetColumn("topic", "string", "The topic's name.", told),
            AssetColumn("topic_id", "string", "Its id, another one after each reset.", told),
            AssetColumn("offsets", "object", "Where each partition ended.", told),
        ),
        code=("include/kafka", *_DOMAIN_CODE),
        looks_at=(domain.topic,),
        domain=domain,
    )


def bronze(domain: Domain) -> AssetSpec:
    """The domain's folder in the bucket ``bronze``."""
    return AssetSpec(
        name=f"bronze/{domain.bronze_folder}",
        uri=f"s3://{BRONZE_BUCKET}/{domain.bronze_folder}",
        group=BRONZE,
        description=f"Every message of {domain.topic}, byte by byte, named by topic id, partition and offset.",
        columns=columns.bronze_columns(domain),
        code=("include/ingest", "include/kafka", "include/lake", *_DOMAIN_CODE),
        inputs=(domain.topic,),
        domain=domain,
        layer="bronze",
        producer=f"bronze_{domain.name}",
        streamed=domain.judged,
        freshness=Freshness(STREAM_SECONDS if domain.judged else BATCH_SECONDS, Measured.WAITING),
    )


def silver(domain: Domain) -> AssetSpec:
    """The domain's folder in the bucket ``silver``."""
    held = f"the newest of each {domain.key}" if domain.kind is Kind.REFERENCE else f"every one, by {domain.event_time}"
    before = bronze(domain).name
    return AssetSpec(
        name=domain.silver_asset,
        uri=f"s3://{SILVER_BUCKET}/{domain.silver_folder}",
        group=SILVER,
        description=f"{domain.contract.name}, valid and cleaned, {held}, as Parquet.",
        columns=columns.silver_columns(domain, before),
        code=("include/spark", "include/lake", *_QUALITY_CODE, *_DOMAIN_CODE),
        inputs=(before,),
        looks_at=(every_million(domain).name,) if domain.judged else (),
        domain=domain,
        layer="silver",
        producer=f"silver_{domain.name}",
        by_day=domain.judged,
        data_quality=dataquality.declared(domain, domain.silver_asset),
        freshness=Freshness(SELDOM_SECONDS if domain.judged else BATCH_SECONDS, Measured.WAITING),
    )


def gold(domain: Domain) -> AssetSpec:
    """The domain's table in the warehouse."""
    before = silver(domain).name
    return AssetSpec(
        name=domain.gold_asset,
        uri=_TABLE_URI.format(domain.table.lower()),
        group=GOLD,
        description=domain.contract.table_description,
        columns=columns.gold_columns(domain, before),
        code=("include/warehouse", "include/sql/gold", *_DOMAIN_CODE),
        inputs=(before,),
        domain=domain,
        layer="gold",
        producer=f"gold_{domain.name}",
        data_quality=dataquality.declared(domain, domain.gold_asset),
        freshness=Freshness(BATCH_SECONDS, Measured.WAITING),
    )


def _verdict(table: str, description: str, *, fraud: bool) -> AssetSpec:
    before, merchants = bronze(TRANSACTIONS).name, gold(MERCHANTS).name
    return AssetSpec(
        name=f"fraud/{table}",
        uri=_TABLE_URI.format(table.lower()),
        group=FRAUD,
        description=description,
        columns=columns.verdict_columns(TRANSACTIONS, before, merchants, fraud=fraud),
        code=("include/fraud", "include/sql/fraud", "include/spark/fraud_stream.py", *_QUALITY_CODE, *_DOMAIN_CODE),
        inputs=(before,),
        looks_at=(merchants,),
        domain=TRANSACTIONS,
        layer="verdicts",
        producer="fraud_stream",
        streamed=True,
        freshness=Freshness(STREAM_SECONDS, Measured.WAITING),
    )


FRAUD_TRANSACTION = _verdict(
    "FraudTransaction", "Transactions on which at least one rule fired, with the evidence.", fraud=True
)
GENUINE_TRANSACTION = _verdict("GenuineTransaction", "Valid transactions on which no rule fired.", fraud=False)

DAILY_FRAUD = AssetSpec(
    name="gold/DAILY_FRAUD",
    uri=_TABLE_URI.format("daily_fraud"),
    group=GOLD,
    description="Transactions, frauds and amounts by day, merchant, channel and the rules that fired.",
    columns=columns.daily_fraud_columns(FRAUD_TRANSACTION.name, GENUINE_TRANSACTION.name),
    code=("include/warehouse/daily_fraud.py", "include/sql/daily_fraud"),
    inputs=(silver(TRANSACTIONS).name, FRAUD_TRANSACTION.name, GENUINE_TRANSACTION.name),
    domain=TRANSACTIONS,
    layer="gold",
    producer="gold_daily_fraud",
    by_day=True,
    freshness=Freshness(BATCH_SECONDS, Measured.WAITING),
)

LABELS = AssetSpec(
    name="transaction_labels",
    uri="kafka://kafka/transaction_labels",
    group=KAFKA,
    description="The truth about generated transactions, for ./paylake evaluate; the detector never reads it.",
    columns=(
        AssetColumn("txn_id", "string", "The transaction's id.", "the generator"),
        AssetColumn("scenario", "string", "Which fraud it is; null for none.", "the generator", required=False),
        AssetColumn("is_fraud", "boolean", "Whether it is one.", "the generator"),
        AssetColumn("timestamp", "timestamp", "When the card was used.", "the generator"),
        AssetColumn("case", "string", "Why a genuine one looks like fraud.", "the generator", required=False),
    ),
    code=("include/generators",),
    producer=str(Generator.TRANSACTIONS),
)


def _books(looks_at: Iterable[AssetSpec]) -> AssetSpec:
    verify = "./paylake verify"
    return AssetSpec(
        name="checks/books",
        uri="paylake://paylake/checks/books",
        group=CHECKS,
        description="Whether every record is in exactly one place, from Kafka to the tables: the newest event says.",
        columns=(
            AssetColumn("balanced", "boolean", "Whether nothing was found.", verify),
            AssetColumn("records", "integer", "Records that were looked at.", verify),
            AssetColumn("domains", "object", "The books of each domain.", verify),
            AssetColumn("findings", "array", "What is wrong, each in one place.", verify),
        ),
        code=("include/verify", "include/sql/verify", *_DOMAIN_CODE),
        looks_at=tuple(one.name for one in looks_at),
        producer="verify_books",
        freshness=Freshness(BOOKS_SECONDS, Measured.UPDATE),
    )


def _all() -> Iterator[AssetSpec]:
    for domain in DOMAINS.values():
        yield topic(domain)
        if domain.judged:
            yield every_million(domain)
    yield LABELS
    layers = [
        *(bronze(domain) for domain in DOMAINS.values()),
        *(silver(domain) for domain in DOMAINS.values()),
        *(gold(domain) for domain in GOLD_DOMAINS.values()),
        FRAUD_TRANSACTION,
        GENUINE_TRANSACTION,
    ]
    yield from layers
    yield DAILY_FRAUD
    yield _books(layers)


ASSETS: dict[str, AssetSpec] = {spec.name: spec for spec in _all()}
"""All of them by name, what is made before what is made of it."""
BOOKS = ASSETS["checks/books"]


def limit_of(layer: str, domain: Domain) -> float:
    """After how many seconds what waits for a domain's layer, as ``include.status.lag`` calls it, is late."""
    (limit, *_) = [
        spec.freshness.seconds
        for spec in ASSETS.values()
        if spec.freshness and spec.domain is domain and spec.layer == layer
    ]
    return limit
