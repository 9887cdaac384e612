"""The page's application: its files, its API, and what all of its answers have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from psycopg_pool import PoolTimeout
from pydantic import BaseModel

from include.cases.work import CaseError
from include.fraud.list_changes import ListError
from include.fraud.rulebook import RulesError
from paylake_desk import backtests, cases, frauds, lake, quarantine, rules
from paylake_desk.access import may_read

WEB = Path(__file__).parent / "web"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; frame-ancestors 'self';"
        " base-uri 'none'; form-action 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Plotly styles its charts by elements that it makes, hence 'unsafe-inline' for styles; scripts are files of ours."""


class Trouble(BaseModel):
    """Why there is no answer, in a sentence."""

    detail: str


app = FastAPI(
    title="Paylake's page",
    description="What the page in Airflow's navigation asks for. Times are in UTC, amounts exact decimals as text.",
    version="1",
    responses={
        400: {"description": "What was asked makes no sense; `detail` says why.", "model": Trouble},
        401: {"description": "Nobody is logged in.", "model": Trouble},
        403: {"description": "Whoever is logged in may not do that.", "model": Trouble},
        404: {"description": "There is no such thing.", "model": Trouble},
        409: {"description": "As things are, that cannot be done; `detail` says why.", "model": Trouble},
        503: {"description": "The warehouse does not answer.", "model": Trouble},
    },
    dependencies=[may_read],
    # Made by FastAPI, these would be open to everybody.
    docs_url=None,
    redoc_url=None,
    openapi_url=None,
)
app.include_router(frauds.router)
app.include_router(cases.router)
app.include_router(rules.router)
app.include_router(backtests.router)
app.include_router(lake.router)
app.include_router(quarantine.router)


@app.middleware("http")
async def harden(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Give every answer the security headers."""
    response = await call_next(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _answer(status: int) -> Callable[[Request, Exception], JSONResponse]:
    return lambda _request, error: JSONResponse({"detail": str(error)}, status)


app.add_exception_handler(CaseError, _answer(409))
app.add_exception_handler(ListError, _answer(409))
app.add_exception_handler(RulesError, _answer(409))
app.add_exception_handler(psycopg.OperationalError, _answer(503))
app.add_exception_handler(PoolTimeout, _answer(503))


@app.get("/openapi.json", include_in_schema=False)
def schema() -> dict[str, Any]:
    """What the API has."""
    return app.openapi()


@app.get("/", include_in_schema=False)
def page() -> FileResponse:
    """The page itself."""
    return FileResponse(WEB / "index.html")


@app.get("/web/{name:path}", include_in_schema=False)
def web(name: str) -> FileResponse:
    """One of the page's own files."""
    path = (WEB / name).resolve()
    if not path.is_relative_to(WEB) or not path.is_file():
        raise HTTPException(404, "There is no such file.")
    return FileResponse(path, headers={"Cache-Control": "no-cache"})


@app.get("/plotly.js", include_in_schema=False)
def charts() -> FileResponse:
    """The bundle that the installed version of Plotly comes with."""
    bundle = Path(str(files("plotly") / "package_data" / "plotly.min.js"))
    return FileResponse(bundle, headers={"Cache-Control": "private, max-age=86400"}, media_type="text/javascript")
