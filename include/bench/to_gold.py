"""Records of users, merchants and accounts, from a client until all of them are in gold."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import get_context

from psycopg import Connection, sql

from include.bench.figures import Figure, Peer
from include.bench.submit import JOBS, SECONDS, BenchError, in_environment, result_of
from include.bench.traffic import take_in
from include.bench.whole import Whole
from include.domains import ACCOUNTS, MERCHANTS, PROFILES, REFERENCE_DOMAINS, Domain
from include.generators.population import DEFAULT_MERCHANTS, DEFAULT_SEED, DEFAULT_USERS, Population
from include.generators.producer import RecordProducer
from include.generators.records import Record, encode
from include.generators.reference import reference_records
from include.generators.transactions import now
from include.local.secrets import load_secrets
from include.local.servers.clients import airflow_api
from include.postgres import connect
from include.settings import Settings
from include.warehouse.gold import load

_NEW = 40
_LAYERS = [f"{layer}_{name}" for name in REFERENCE_DOMAINS for layer in ("bronze", "silver", "gold")]
_LOOK_SECONDS = 0.05
_PAUSE_SECONDS = 2.0

Records = Mapping[Domain, Sequence[Record]]


def to_gold(whole: Whole, rounds: int) -> list[Figure]:
    """Seconds until 40 new records of each kind are in gold, beside the steps of that way run one by one.

    The steps, of which silver's is shown, too, are measured last, on the same stack, while the DAGs of these layers are
    paused.
    """
    settings, slices = whole.settings, _new_records(2 * rounds)
    with connect(settings.warehouse_dsn, "paylake bench") as conn:
        found = []
        for _ in range(rounds):
            _await_quiet(whole)
            found.append(_timed(settings, conn, next(slices), lambda: None))
        _await_quiet(whole)
        whole.paylake("airflow", "dags", "pause", "--treat-dag-id-as-regex", "-y", f"^({'|'.join(_LAYERS)})$")
        silver: list[float] = []

        def steps() -> None:
            silver.append(_steps(settings))

        with in_environment(whole.programs()):
            bare = [_timed(settings, conn, next(slices), steps) for _ in range(rounds)]
    peer = Peer("its steps as bare processes, one by one", tuple(bare), most_ratio=2.0)
    name = "40 users, 40 merchants, 40 accounts: sent → all in gold"
    one = "a silver run for 40 new records of each, beside the stack at 10/s"
    return [
        Figure(name, "s", tuple(found), 30, lower_is_better=True, peers=(peer,)),
        Figure(one, "s", tuple(silver), 12, lower_is_better=True),
    ]


def _new_records(count: int) -> Iterator[Records]:
    """So many times 40 records of each domain, of ids that the stack's own population does not have."""
    old = Population(DEFAULT_SEED, DEFAULT_USERS, DEFAULT_MERCHANTS)
    new = Population(DEFAULT_SEED, DEFAULT_USERS + count * _NEW, DEFAULT_MERCHANTS + count * _NEW)
    firsts = {PROFILES: DEFAULT_USERS, MERCHANTS: DEFAULT_MERCHANTS, ACCOUNTS: len(old.accounts)}
    made: dict[Domain, list[Record]] = {domain: [] for domain in firsts}
    for domain, record in reference_records(new, now()):
        made[domain].append(record)
    for number in range(count):
        begins = {domain: first + number * _NEW for domain, first in firsts.items()}
        yield {domain: made[domain][begin : begin + _NEW] for domain, begin in begins.items()}


def _timed(settings: Settings, conn: Connection, records: Records, work: Callable[[], None]) -> float:
    """Send the records, do ``work``, and wait until they are in gold; the seconds from when they were delivered."""
    with RecordProducer(settings.kafka_config) as producer:
        for domain, some in records.items():
            producer.send_all(domain.topic, [(str(one[domain.key]).encode(), encode(one)) for one in some])
    began = time.monotonic()
    work()
    while not all(_in_gold(conn, domain, some) for domain, some in records.items()):
        if time.monotonic() > began + SECONDS:
            raise BenchError(f"after {SECONDS:.0f} s not all records were in gold")
        time.sleep(_LOOK_SECONDS)
    return time.monotonic() - began


def _in_gold(conn: Connection, domain: Domain, records: Sequence[Record]) -> bool:
    count = sql.SQL("SELECT count(*) = %s FROM {} WHERE {} = ANY(%s)")
    query = count.format(sql.Identifier(domain.table.lower()), sql.Identifier(domain.key))
    return conn.execute(query, [len(records), [str(one[domain.key]) for one in records]]).fetchone() == (True,)


def _steps(settings: Settings) -> float:
    """Do them, one process after the other; the seconds of silver's."""
    for domain in REFERENCE_DOMAINS.values():
        _in_process(take_in, settings, domain)
    first, *others = REFERENCE_DOMAINS
    began = time.monotonic()
    result_of(JOBS / "silver.py", first, "--along", *others)
    seconds = time.monotonic() - began
    for domain in REFERENCE_DOMAINS.values():
        _in_process(load_gold, settings, domain)
    return seconds


def load_gold(settings: Settings, domain: Domain) -> None:
    """Bring the domain's gold up to its silver."""
    with connect(settings.warehouse_dsn, "paylake gold") as conn:
        load(domain, conn, settings)


def _in_process(work: Callable[[Settings, Domain], object], settings: Settings, domain: Domain) -> None:
    process = get_context("spawn").Process(target=work, args=(settings, domain))
    process.start()
    process.join()
    if process.exitcode != 0:
        raise BenchError(f"{work.__name__} of {domain.name} ended with {process.exitcode}")


def _await_quiet(whole: Whole) -> None:
    """Wait until no run of these layers is queued or at work."""
    api = airflow_api(whole.stack, load_secrets(whole.stack))
    deadline = time.monotonic() + SECONDS
    while any(run["dag_id"] in _LAYERS for run in api.runs("~", state=["queued", "running"])):
        if time.monotonic() > deadline:
            raise BenchError(f"after {SECONDS:.0f} s the DAGs of the layers were still at work")
        time.sleep(_PAUSE_SECONDS)
