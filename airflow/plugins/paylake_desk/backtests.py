"""Routes of back-tests and of asking for a promotion: both are runs of Airflow's DAGs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.models.dagrun import DagRun
from botocore.exceptions import BotoCoreError, ClientError
from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from include.backtest.picture import FOLDER
from include.domains import CHECKPOINTS_BUCKET
from include.fraud.promotion import check_new, promotions
from include.fraud.rulebook import RulesError, parse_rules
from include.lake.s3 import s3_client
from paylake_airflow.hooks import stack_settings
from paylake_desk import runs
from paylake_desk.access import may_start
from paylake_desk.cases import Words
from paylake_desk.period import utc
from paylake_desk.runs import Run
from paylake_desk.warehouse import Warehouse

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BACKTEST, PROMOTION = "rules_backtest", "rules_promotion"
_TASK = "back_test"
_PICTURES = f"s3://{CHECKPOINTS_BUCKET}/{FOLDER}"
LONGEST_FILE = 500_000

router = APIRouter(
    prefix="/api",
    tags=["back-tests"],
    dependencies=[
        Depends(requires_access_dag("GET", DagAccessEntity.RUN, BACKTEST)),
        Depends(requires_access_dag("GET", DagAccessEntity.XCOM, BACKTEST)),
    ],
)
RunId = Annotated[str, Path(max_length=250, pattern=r"^[^\x00]+$")]


class _Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid")

    since: datetime | None = None
    until: datetime | None = None

    def period(self) -> dict[str, str | None]:
        """Both moments as the DAGs take them."""
        since, until = (utc(one) if one else None for one in (self.since, self.until))
        if since and until and until <= since:
            raise HTTPException(400, "A period begins before it ends.")
        return {
            "since": since.isoformat() if since else None,
            "until": until.isoformat() if until else None,
        }


class BackTestWanted(_Wanted):
    """Rules to try, none for those in use, on what was scored from ``since`` until before ``until`` (UTC)."""

    rules: Annotated[str, Field(max_length=LONGEST_FILE)] = ""


class PromotionWanted(_Wanted):
    """Rules to put into use, why, and the period on which they are tried for who has to approve them."""

    rules: Annotated[str, Field(min_length=1, max_length=LONGEST_FILE)]
    note: Words | None = None


class Started(BaseModel):
    """A run that was started. As long as its DAG is paused, nothing happens."""

    run_id: str
    paused: bool


class Alerts(BaseModel):
    """See ``include.backtest.report.Alerts``."""

    fired: int
    stored: int
    new: int
    vanished: int
    on_fraud: int
    on_genuine: int
    precision: float | None


class Result(BaseModel):
    """What a back-test found, see ``include.backtest.report.BackTest``; of each day stored alerts, and alerts now."""

    rules_version: str
    since: datetime
    until: datetime
    transactions: int
    same_version: int
    different: int
    unread: int
    frauds: int
    caught: int
    caught_before: int
    recall: float | None
    alerts_a_day: float | None
    alerts: Alerts
    rules: dict[str, Alerts]
    days: dict[str, tuple[int, int]]


class BackTestRun(BaseModel):
    """A back-test: its period as it was asked for, whether it was of the rules in use, and what it found so far."""

    run: Run
    since: str | None
    until: str | None
    of_rules_in_use: bool
    result: Result | None


class BackTests(BaseModel):
    """The newest back-tests; ``paused`` says that those in the queue stay there."""

    paused: bool
    runs: list[BackTestRun]


class BackTestFile(BackTestRun):
    """A back-test with its rules, as far as others than those in use were tried."""

    rules: str | None


@router.get("/backtests")
def list_backtests(session: SessionDep, limit: Annotated[int, Query(ge=1, le=50)] = 20) -> BackTests:
    """Back-tests, the newest first."""
    found = runs.newest(session, BACKTEST, limit)
    results = runs.returned(session, found, _TASK)
    return BackTests(
        paused=runs.is_paused(session, BACKTEST), runs=[BackTestRun(**_told(run, results)) for run in found]
    )


@router.post("/backtests", dependencies=may_start(BACKTEST))
def start_backtest(session: SessionDep, request: Request, user: GetUserDep, wanted: BackTestWanted) -> Started:
    """Try rules on what was scored."""
    if wanted.rules.strip():
        with _understood():
            parse_rules(wanted.rules, "rules")
    conf = {"rules": wanted.rules if wanted.rules.strip() else None, **wanted.period()}
    return Started(run_id=runs.start(session, request, user, BACKTEST, conf), paused=runs.is_paused(session, BACKTEST))


@router.get("/backtests/{run_id}")
def show_backtest(session: SessionDep, run_id: RunId) -> BackTestFile:
    """A back-test with its result and its rules."""
    run = _run(session, run_id)
    return BackTestFile(**_told(run, runs.returned(session, [run], _TASK)), rules=(run.conf or {}).get("rules"))


@router.get("/backtests/{run_id}/picture", response_class=StreamingResponse)
def show_picture(session: SessionDep, run_id: RunId) -> StreamingResponse:
    """Its picture, as long as the lake has it."""
    result = runs.returned(session, [_run(session, run_id)], _TASK).get(run_id) or {}
    picture = str(result.get("picture") or "")
    if not picture.startswith(_PICTURES):
        raise HTTPException(404, "There is no picture of it yet.")
    try:
        found = _lake().get_object(Bucket=CHECKPOINTS_BUCKET, Key=picture.removeprefix(f"s3://{CHECKPOINTS_BUCKET}/"))
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise HTTPException(503, f"The lake does not give the picture: {error}") from error
        raise HTTPException(404, "The picture was removed; they are kept for 30 days.") from error
    except BotoCoreError as error:
        raise HTTPException(503, f"The lake does not answer: {error}") from error
    return StreamingResponse(found["Body"].iter_chunks(), media_type="image/png")


@router.post("/promotions", dependencies=may_start(PROMOTION))
def ask_for_promotion(
    conn: Warehouse, session: SessionDep, request: Request, user: GetUserDep, wanted: PromotionWanted
) -> Started:
    """Have rules tried, and ask in Airflow, under Required Actions, for approval to put them into use."""
    with _understood():
        check_new(promotions(conn), wanted.rules, "rules")
    conf = {"rules": wanted.rules, "note": wanted.note, **wanted.period()}
    return Started(
        run_id=runs.start(session, request, user, PROMOTION, conf), paused=runs.is_paused(session, PROMOTION)
    )


def _run(session: Session, run_id: str) -> DagRun:
    found = runs.newest(session, BACKTEST, 1, run_id)
    if not found:
        raise HTTPException(404, "There is no such back-test.")
    return found[0]


def _told(run: DagRun, results: dict[str, Any]) -> dict[str, Any]:
    """The fields of `BackTestRun`."""
    asked, result = run.conf or {}, results.get(run.run_id)
    return {
        "run": runs.told(run),
        "since": asked.get("since"),
        "until": asked.get("until"),
        "of_rules_in_use": not asked.get("rules"),
        "result": result and Result.model_validate(result),
    }


@contextmanager
def _understood() -> Iterator[None]:
    """Answer with 400 where rules make no sense, and say of each problem on which line it is."""
    try:
        yield
    except RulesError as error:
        raise HTTPException(400, "\n".join(error.problems)) from error


@cache
def _lake() -> S3Client:
    """A client of the lake, as Airflow's connections say when it is first asked for."""
    return s3_client(stack_settings(), attempts=2, timeout=10.0)
