"""What tests of the fraud stream share: judged records, and warehouses that are made once and copied quickly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pyarrow as pa
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier

from include.domains import TRANSACTIONS, Domain
from include.fraud.judged import JUDGED_SCHEMA, judge
from include.fraud.rules import RULE_NAMES, RULES_FILE, Fired, Rules, load_rules
from include.lake.records import BronzeRecord
from include.postgres import connect
from include.settings import Settings
from include.warehouse.schema import apply_schema
from tests.support.classified import classify_records
from tests.support.warehouse import drop_database, scratch_database


def judged(records: Iterable[BronzeRecord], domain: Domain = TRANSACTIONS, rules: Rules | None = None) -> pa.Table:
    """What the stream's workers make of these records, under the contract of ``domain``."""
    rules = rules or load_rules(RULES_FILE)
    batches = classify_records(domain, records).to_batches()
    return pa.Table.from_batches([judge(batch, rules) for batch in batches], JUDGED_SCHEMA)


def verdict(rules: Rules, row: Mapping[str, Any], merchant_risk: str | None) -> tuple[Fired, ...]:
    """Every rule that fires for one transaction, in the order in which a verdict names them; none: it is genuine."""
    of_merchant = rules.of_merchant(row["merchant_id"], merchant_risk)
    fired = rules.of_transaction(row) + ((of_merchant,) if of_merchant else ())
    return tuple(sorted(fired, key=lambda one: RULE_NAMES.index(one.rule)))


@contextmanager
def warehouse_template(settings: Settings) -> Iterator[str]:
    """The DSN of a database with every table, for `warehouse_copy`."""
    with scratch_database(settings) as dsn:
        with connect(dsn) as conn:
            apply_schema(conn)
        yield dsn


@contextmanager
def warehouse_copy(template: str) -> Iterator[str]:
    """The DSN of a copy of ``template``, which is dropped at the end."""
    name, original = f"fraud_{uuid4().hex[:12]}", str(conninfo_to_dict(template)["dbname"])
    admin_dsn = make_conninfo(template, dbname="postgres")
    with connect(admin_dsn) as admin:
        admin.execute(SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(original)))
    try:
        yield make_conninfo(template, dbname=name)
    finally:
        with connect(admin_dsn) as admin:
            drop_database(admin, name)
