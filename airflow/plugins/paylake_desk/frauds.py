"""Routes of frauds: the feed, the sums, one transaction, and the feed as a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Path, Query
from fastapi.responses import StreamingResponse

from include.desk.features import features_of
from include.desk.filters import Filter
from include.desk.frauds import Fraud, Summary, feed, summary
from include.desk.spreadsheet import harmless
from include.desk.transaction import Around, around
from include.fraud.promotion import rules_in_use
from paylake_desk.period import Within, utc
from paylake_desk.warehouse import Warehouse

router = APIRouter(prefix="/api", tags=["frauds"])

EXPORTED = 10_000
"""So many rows an export has at most."""
_COLUMNS = (
    *("txn_id", "timestamp", "scored_at", "user_id", "user_name", "amount", "merchant_id", "merchant_name"),
    *("country_code", "channel", "location", "score", "case_id", "case_state"),
)
TxnId = Annotated[str, Path(max_length=200, pattern=r"^[^\x00]+$")]
Id = Annotated[str, Query(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]


def _chosen(
    period: Within,
    rule: Id | None = None,
    user_id: Id | None = None,
    merchant_id: Id | None = None,
    channel: Id | None = None,
    country: Annotated[str | None, Query(pattern="^[A-Z]{2}$", description="The merchant's.")] = None,
) -> Filter:
    return Filter(period.since, period.until, rule, user_id, merchant_id, channel, country)


Chosen = Annotated[Filter, Depends(_chosen)]


@router.get("/frauds")
def list_frauds(
    conn: Warehouse,
    chosen: Chosen,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before_at: datetime | None = None,
    before_id: Id | None = None,
) -> list[Fraud]:
    """Frauds, the newest verdict first; the next page begins before the last one's scored_at and txn_id."""
    if (before_at is None) != (before_id is None):
        raise HTTPException(400, "A page begins before a scored_at and a txn_id: say both.")
    before = None if before_at is None or before_id is None else (utc(before_at), before_id)
    return feed(conn, chosen, limit, before)


@router.get("/frauds/summary")
def sum_up(conn: Warehouse, chosen: Chosen) -> Summary:
    """Frauds by time, rule, merchant, country and channel."""
    return summary(conn, chosen)


@router.get("/frauds.csv", response_class=StreamingResponse)
def export(conn: Warehouse, chosen: Chosen) -> StreamingResponse:
    """The newest frauds as CSV; a cell that a spreadsheet would run is made text."""
    rows = feed(conn, chosen, EXPORTED)
    return StreamingResponse(
        _lines(rows),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="frauds.csv"'},
    )


def _lines(rows: list[Fraud]) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*_COLUMNS, "why"])
    for row in rows:
        why = "; ".join(fired["message"] for fired in row.evidence)
        writer.writerow([harmless(getattr(row, column)) for column in _COLUMNS] + [harmless(why)])
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()


@router.get("/transactions/{txn_id}")
def show(conn: Warehouse, txn_id: TxnId) -> Around:
    """A transaction with its verdict, its user's history and other alerts."""
    found = around(conn, txn_id)
    if found is None:
        raise HTTPException(404, "There is no verdict on such a transaction.")
    return found


@router.get("/transactions/{txn_id}/features")
def show_features(conn: Warehouse, txn_id: TxnId) -> dict[str, str | None]:
    """The features of a transaction at the moment of its scoring, by the rules in use."""
    found = features_of(conn, rules_in_use(conn), txn_id)
    if found is None:
        raise HTTPException(404, "There is no verdict on such a transaction.")
    return found
