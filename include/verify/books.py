"""The verification: every record produced is in exactly one place, and every layer is what the one before it says.

It first fixes where each topic ends. Then it waits, up to a limit, until all layers have got that far, and proves, by
topic id, partition and offset, from Kafka, MinIO and PostgreSQL themselves:

- bronze holds each record that Kafka has, with the same bytes, once; its objects follow one another without hole or
  overlap;
- each record of bronze is in one place: a row, a duplicate of a row, or quarantine, unless it is a tombstone; and
  nothing is in a table that is not in bronze;
- silver has one row for each id of a valid record of reference data, and bronze no newer valid record of that id; of
  events it has each valid record;
- gold is silver, of events the newest of each id, row by row and column by column;
- FraudTransaction and GenuineTransaction have no id in common, and each duplicate has its original.

What comes after the fixed end is left out. The tables of reference data show the newest state, so they are compared
with bronze up to the position that silver's own snapshot states; where that is short of the fixed end, it is a finding.
Silver's transactions are compared with the verdicts, as far as silver has read: it follows them at its leisure.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from include.domains import DOMAINS, Domain, Kind
from include.lake.s3 import s3_client
from include.settings import Settings
from include.verify.domain import DomainCheck
from include.verify.kafka_log import TopicChangedError, fix_end
from include.verify.report import DomainReport, Report
from include.verify.silver import EventCheck, ReferenceCheck
from include.verify.transactions import TransactionsCheck

log = logging.getLogger(__name__)

WAIT_SECONDS = 120.0
_TRIES = 3
_GRACE_SECONDS = 30.0


def verify(
    settings: Settings,
    *,
    domains: Iterable[Domain] = tuple(DOMAINS.values()),
    wait_seconds: float = WAIT_SECONDS,
    kafka: Mapping[str, Any] | None = None,
) -> Report:
    """Prove that the books balance, or say exactly what is wrong.

    ``wait_seconds``: how long the layers may take to get to where the topics end now. ``kafka`` is a confluent_kafka
    configuration, when more than the address is needed to reach the brokers. Nothing is written but temporary tables.

    Raises:
        confluent_kafka.KafkaException, TimeoutError: Kafka does not answer.
        botocore.exceptions.BotoCoreError, ClientError: MinIO does not answer.
        psycopg.Error: PostgreSQL does not answer.
        TopicChangedError: a topic was made anew again and again.
    """
    started = time.monotonic()
    # The client's own remarks would stand between the lines of the report; what goes wrong is raised.
    config = {"log_level": 4, **(kafka or settings.kafka_config)}
    s3 = s3_client(settings)
    checks = [_kind_of(domain)(settings, domain, s3, config, fix_end(config, domain)) for domain in domains]
    deadline = started + wait_seconds
    reports = tuple(_checked(check, deadline, wait_seconds) for check in checks)
    return Report(reports, time.monotonic() - started)


def _kind_of(domain: Domain) -> type[DomainCheck]:
    if domain.judged:
        return TransactionsCheck
    return ReferenceCheck if domain.kind is Kind.REFERENCE else EventCheck


def _checked(check: DomainCheck, deadline: float, wait_seconds: float) -> DomainReport:
    """The check's report; it is made again, a few times, when what it looked at was replaced under it."""
    for attempt in range(1, _TRIES + 1):
        # Also when another domain has used up all the time.
        deadline = max(deadline, time.monotonic() + min(wait_seconds, _GRACE_SECONDS))
        try:
            check.await_caught_up(deadline)
            report = check.run()
        except TopicChangedError as error:
            if attempt == _TRIES:
                raise
            log.info("%s: looking again, because %s", check.domain.name, error)
            check.fix_again()
            deadline = time.monotonic() + wait_seconds
            continue
        except (FileNotFoundError, pa.ArrowInvalid) as error:
            report = check.report
            check.find_ids("silver_file", [check.domain.silver_folder], f"a file cannot be read: {error}")
        if not report.findings or not check.moved():
            return report
        log.info("%s: looking again, because a layer has moved on meanwhile", check.domain.name)
    return report
