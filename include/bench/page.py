"""The page's requests, by several users at once, beside a stream, on a warehouse with ten million verdicts."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle

import httpx

from include.bench.apart import apart, generate_at
from include.bench.figures import Figure
from include.bench.submit import BenchError
from include.bench.whole import Whole, whole_stack
from include.generators.traffic import new_run_id
from include.local.secrets import load_secrets
from include.local.servers import clients
from include.postgres import connect

VERDICTS = 10_000_000
USERS = 5
RATE = 1_000.0
SECONDS = 60.0
WANTED_MS = 300.0

# A month of verdicts, one in fifty fraud, of a thousand users at five hundred merchants.
_FILL = """
    INSERT INTO {table} (txn_id, user_id, amount, merchant_id, channel, location, "timestamp", date, month, year, time,
        rules_version, bronze_topic_id, bronze_partition, bronze_offset, score, scored_at, lists_version {columns})
    SELECT 'Tpage-' || n, 'U' || lpad((n % 1000)::text, 4, '0'), 1 + n % 40000, 'M' || lpad((n % 500)::text, 4, '0'),
        (ARRAY['Online', 'POS', 'ATM'])[1 + n % 3], (ARRAY['Porto', 'London', 'Tokyo', 'Paris'])[1 + n / 7 % 4], at,
        (at AT TIME ZONE 'UTC')::date, extract(month FROM at AT TIME ZONE 'UTC'),
        extract(year FROM at AT TIME ZONE 'UTC'), (at AT TIME ZONE 'UTC')::time(0), 'bench', 'bench', 0, n, {score}, at,
        0 {values}
    FROM generate_series(0, {verdicts} - 1) AS n
    CROSS JOIN LATERAL (SELECT now() - interval '31 days' * (1 - n / {verdicts}::float)) AS moment (at)
    WHERE (n % 50 = 0) = {fraud}
"""


def page(_rounds: int) -> list[Figure]:
    """The 95th percentile of what each kind of request takes, in milliseconds, and of all together."""
    with whole_stack() as whole:
        _fill(whole)
        with apart(generate_at, whole.settings, RATE, new_run_id()):
            taken = _asked(whole)
    everything = [one for of_path in taken.values() for one in of_path]
    named = {"all requests of the page": everything, **taken}
    return [
        Figure(f"{name}: p95, {USERS} users, {RATE:,.0f}/s", "ms", (_p95(times),), WANTED_MS, lower_is_better=True)
        for name, times in named.items()
    ]


def _fill(whole: Whole) -> None:
    frauds = {
        "table": "fraudtransaction",
        "columns": ", reasons, evidence",
        "values": (
            ", ARRAY[(ARRAY['huge_amount', 'card_testing', 'impossible_travel'])[1 + n / 50 % 3]],"
            ' \'[{"rule": "bench", "message": "made for the bench", "values": {}}]\''
        ),
        "score": 100,
        "fraud": "true",
    }
    genuine = {"table": "genuinetransaction", "columns": "", "values": "", "score": 0, "fraud": "false"}
    with connect(whole.settings.warehouse_dsn, "paylake bench") as conn:
        for kind in (frauds, genuine):
            conn.execute(_FILL.format(**kind, verdicts=VERDICTS).encode())
        conn.execute("ANALYZE")


def _asked(whole: Whole) -> dict[str, list[float]]:
    """Milliseconds of each request, by path, of users who click through the page for a minute."""
    url, secrets = clients.airflow_url(whole.stack), load_secrets(whole.stack)
    login = {"username": clients.AIRFLOW_USER, "password": secrets.airflow_password}
    token = httpx.post(f"{url}/auth/token", json=login, timeout=30).raise_for_status().json()["access_token"]
    ends = time.monotonic() + SECONDS
    user = partial(_user, f"{url}/paylake/api/", {"Authorization": f"Bearer {token}"}, ends)
    with ThreadPoolExecutor(USERS) as users:
        asked = list(users.map(user, range(USERS)))
    if not all(asked):
        raise BenchError("a user got no answer")
    found: dict[str, list[float]] = {}
    for name, milliseconds in (one for of_user in asked for one in of_user):
        found.setdefault(name, []).append(milliseconds)
    return found


def _user(url: str, headers: dict[str, str], ends: float, number: int) -> list[tuple[str, float]]:
    """What one user waited for."""
    mine = 50 * (number + 1) * 1_000
    requests = {
        "frauds": "frauds",
        "frauds of a rule": "frauds?rule=card_testing",
        "frauds of a merchant": f"frauds?merchant_id=M{mine % 500:04}",
        "sums of a day": "frauds/summary",
        "sums of a user": f"frauds/summary?user_id=U{mine % 1000:04}",
        "a transaction": f"transactions/Tpage-{mine}",
        "cases": "cases",
        "rules": "rules",
        "the lake": "lake",
    }
    taken: list[tuple[str, float]] = []
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        for name, path in cycle(requests.items()):
            if time.monotonic() > ends:
                return taken
            began = time.monotonic()
            client.get(path).raise_for_status()
            taken.append((name, 1000 * (time.monotonic() - began)))
    return taken


def _p95(milliseconds: list[float]) -> float:
    return statistics.quantiles(milliseconds, n=20)[-1]
