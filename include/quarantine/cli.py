"""``./paylake quarantine``: look at records that broke their contract, and drive them through again."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn

import psycopg
import typer
from botocore.exceptions import BotoCoreError, ClientError
from confluent_kafka import KafkaException
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from include.domains import DOMAINS
from include.fraud.console import fraud_line, printable
from include.fraud.rules import RulesError, load_rules
from include.ingest.errors import SkipRefusedError
from include.ingest.skip import skip as step_over
from include.kafka.topics import TopicTimeoutError
from include.lake.bronze_log import BronzeLog
from include.lake.objects import CorruptObjectError
from include.lake.records import Original
from include.lake.s3 import s3_client
from include.local.airflow_api import AirflowApi
from include.local.errors import StackError
from include.quarantine.redrive import UNKNOWN_DOMAIN, Redrive, Redriven, UnknownRecordError
from include.settings import MissingSettingError, Settings
from include.warehouse import alarms, quarantine
from include.warehouse.alarms import Alarm
from include.warehouse.connect import connect
from include.warehouse.quarantine import Coordinates, InvalidCoordinatesError, Kept, ReasonCount, Selection
from include.warehouse.schema import SchemaError, apply_schema

USAGE = 2
SILVER_SECONDS = 300.0
"""How long `redrive` waits for silver, unless it is told otherwise, when it could wake silver."""
SHOWN_CHARACTERS = 5_000
# A topic's id may begin with a hyphen. A mistyped option is then taken for coordinates, and refused as such.
ANY_TOPIC_ID = {"ignore_unknown_options": True}
TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help=(
        "List and show the records that broke their contract, drive them through again after it was mended, accept "
        "that many did, and step over what cannot be read from Kafka."
    ),
)

InDomain = Annotated[str | None, typer.Option("--domain", help=f"Only records of this domain: {', '.join(DOMAINS)}.")]
ForReason = Annotated[
    str | None, typer.Option("--reason", metavar="CODE", help="Only records with this reason, such as `pattern`.")
]
AtField = Annotated[
    str | None, typer.Option("--field", help="Only records with a reason at this field; with --reason: that one.")
]
Since = Annotated[
    datetime | None,
    typer.Option("--since", formats=TIMES, metavar="TIME", help="Only records refused at this time (UTC) or later."),
]
Until = Annotated[
    datetime | None,
    typer.Option("--until", formats=TIMES, metavar="TIME", help="Only records refused before this time (UTC)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("list")
def list_records(
    domain: InDomain = None,
    reason: ForReason = None,
    field: AtField = None,
    since: Since = None,
    until: Until = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only records that wait; the default.")] = False,
    done: Annotated[bool, typer.Option("--done", help="Only records that were driven through again.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Both.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="How many of the newest records to show.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Count the records by domain and reason, and show the newest ones, after the alarms that nobody has accepted."""
    if waiting + done + every > 1:
        raise typer.BadParameter("--waiting, --done and --all exclude one another")
    selection = _selection(domain, reason, field, since, until, done=None if every else done)
    with _connection() as conn:
        _check_domain(conn, domain)
        summary = quarantine.summarize(conn, selection)
        newest = quarantine.newest(conn, selection, limit)
        raised = alarms.open_alarms(conn, domain)
    if as_json:
        found = {"records": summary.records, "reasons": [asdict(one) for one in summary.reasons]}
        found["alarms"] = [alarm.as_json() for alarm in raised]
        typer.echo(json.dumps(found | {"newest": [_as_json(one) for one in newest]}))
        return
    console = Console(highlight=False)
    _print_alarms(raised, console)
    state = "in all" if every else "driven through again" if done else "waiting"
    console.print(f"{summary.records:,} records {state}")
    if summary.reasons:
        console.print(_reasons_table(summary.reasons))
    for one in newest:
        reasons = "; ".join(f"{reason['field'] or 'record'} {reason['code']}" for reason in one.reasons)
        line = f"{_time(one.quarantined_at)}  {one.domain}  {one.coordinates}  {reasons}{_state_suffix(one)}"
        console.print(Text(printable(line)), soft_wrap=True)


@app.command(context_settings=ANY_TOPIC_ID)
def show(
    coordinates: Annotated[str, typer.Argument(metavar="TOPIC_ID/PARTITION/OFFSET", help="Which record.")],
    raw: Annotated[bool, typer.Option("--raw", help="Write the original bytes and nothing else.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, with the bytes in base64.")] = False,
) -> None:
    """Show every reason of a record, and the record as it came.

    Key and headers are read from bronze. It does not keep a key that only repeats the record's id.
    """
    if raw and as_json:
        raise typer.BadParameter("--raw and --json exclude one another")
    place = _parse(coordinates)
    with _connection() as conn:
        found = quarantine.find(conn, place)
    if found is None:
        _fail(f"{place} is not in quarantine and never was", code=USAGE)
    kept, value = found
    if raw:
        sys.stdout.buffer.write(value or b"")
        sys.stdout.buffer.flush()
    elif as_json:
        message = _message_as_json(_original(kept), value)
        typer.echo(json.dumps(_as_json(kept) | message))
    else:
        _print_record(kept, value, _original(kept))


@app.command(context_settings=ANY_TOPIC_ID)
def redrive(
    coordinates: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TOPIC_ID/PARTITION/OFFSET]...", help="Which records; or choose them by the options."),
    ] = None,
    domain: InDomain = None,
    reason: ForReason = None,
    field: AtField = None,
    since: Since = None,
    until: Until = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    yes: Yes = False,
    wait: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="How long to wait for silver.",
            show_default=f"{SILVER_SECONDS:.0f}, or 0 without Airflow",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Classify waiting records by today's contract, and let those that keep it land in their table.

    Those that are still rejected stay as they are. **Exit code**: 0 when all chosen records landed (with `--dry-run`:
    would land), 1 when some are still rejected or did not land in time, 2 when the command makes no sense.
    """
    if as_json and not (yes or dry_run):
        raise typer.BadParameter("--json asks no questions: add --yes or --dry-run")
    selection = _selection(domain, reason, field, since, until, done=False)
    chosen: Selection | list[Coordinates] = selection
    if coordinates:
        if selection != Selection(done=False):
            raise typer.BadParameter("choose records either by their coordinates or by options")
        chosen = [_parse(one) for one in coordinates]
    messages = Console(stderr=True, highlight=False)
    with _connection() as conn:
        _check_domain(conn, domain)
        # A contract that was mended may want other constraints, and without them no row of it would get in.
        apply_schema(conn)
        work = Redrive(conn, chosen, load_rules(), lambda frauds: None if as_json else _print_frauds(frauds))
        found = None
        if dry_run or not yes:
            found = work.examine()
            if not as_json:
                _print_classes(found)
        if not dry_run and (found is None or _agreed(found)):
            found = work.drive()
            if yes and not as_json:
                _print_classes(found)
            _land(work, found, wait, messages)
            if not as_json:
                _print_landed(found)
    assert found is not None  # noqa: S101 - one of the two has set it
    if as_json:
        typer.echo(json.dumps({"dry_run": dry_run} | _redriven_as_json(found)))
    raise typer.Exit(0 if (not found.rejected if dry_run else found.all_landed) else 1)


@app.command()
def accept(domain: InDomain = None, yes: Yes = False, as_json: AsJson = False) -> None:
    """Accept, once, that more records were rejected than the limit allows: silver's runs are no longer failed for it.

    The records stay in quarantine. When too many are rejected again, there is a new alarm. **Exit code**: 0 when no
    alarm is left, 1 when one has grown meanwhile or the answer was no, 2 when the command makes no sense.
    """
    if as_json and not yes:
        raise typer.BadParameter("--json asks no questions: add --yes")
    console = Console(highlight=False)
    with _connection() as conn:
        _check_domain(conn, domain)
        found = alarms.open_alarms(conn, domain)
        if not as_json:
            _print_alarms(found, console)
        if found and not yes:
            typer.confirm(f"Accept {'this' if len(found) == 1 else 'these'}?", abort=True, err=True)
        left = alarms.accept(conn, found)
    accepted = [alarm for alarm in found if alarm not in left]
    if as_json:
        typer.echo(
            json.dumps({"accepted": [one.as_json() for one in accepted], "left": [one.as_json() for one in left]})
        )
    elif not found:
        console.print("There is no alarm to accept.")
    elif accepted:
        console.print(f"accepted: {', '.join(alarm.domain for alarm in accepted)}")
    if left:
        _fail(f"{', '.join(alarm.domain for alarm in left)}: the alarm has changed meanwhile; look at it again")


def _print_alarms(found: Sequence[Alarm], console: Console) -> None:
    for alarm in found:
        console.print(Text(printable(f"ALARM {alarm}"), style="red"), soft_wrap=True)


@app.command(context_settings=ANY_TOPIC_ID)
def skip(
    coordinates: Annotated[
        str, typer.Argument(metavar="TOPIC_ID/PARTITION/OFFSET", help="Where the ingestion is stuck, as it says.")
    ],
    as_json: AsJson = False,
) -> None:
    """Step over what Kafka has and nobody can read, and leave a note in quarantine.

    Only where a partition is stuck: what can be read is never skipped. The records of the batch are not in bronze
    then; the note says which offsets they had. **Exit code**: 0 when it was stepped over, 2 when it was refused.
    """
    place = _parse(coordinates)
    try:
        settings = Settings.from_environment()
        # The client's own remarks would stand between the lines; what goes wrong is raised.
        kafka = {"log_level": 4, **settings.kafka_config}
        found = step_over(kafka, s3_client(settings), place.topic_id, place.partition, place.offset)
    except SkipRefusedError as error:
        _fail(str(error), error, code=USAGE)
    except KafkaException as error:
        _fail(f"Kafka: {error.args[0].str()}", error)
    except (MissingSettingError, TopicTimeoutError, CorruptObjectError, BotoCoreError, ClientError) as error:
        _fail(str(error), error)
    if as_json:
        typer.echo(json.dumps(asdict(found)))
        return
    text = f"Stepped over: {found}. The next ingestion goes on behind it, and takes the note to quarantine."
    Console(highlight=False).print(Text(printable(text)), soft_wrap=True)


def _agreed(found: Redriven) -> bool:
    valid = found.valid.total()
    return valid > 0 and typer.confirm(f"Drive {valid:,} records through again?", abort=True, err=True)


def _land(work: Redrive, found: Redriven, wait: float | None, messages: Console) -> None:
    """Wake silver where it was asked for records, and wait for it."""
    domains = [name for name, records in found.requested.items() if records]
    if not domains:
        return
    problem = _wake(domains)
    if problem:
        messages.print(Text(f"{problem}. The next silver run takes the records in."))
    seconds = (0.0 if problem else SILVER_SECONDS) if wait is None else wait
    if seconds:
        messages.print(f"waiting for silver ({', '.join(domains)}) …")
        work.wait(found, seconds)


def _wake(domains: Sequence[str]) -> str | None:
    """Have silver run for the domains; says why that will not happen soon, if so."""
    try:
        api = AirflowApi.from_environment()
        for name in domains:
            api.trigger(f"silver_{name}")
        paused = {dag["dag_id"] for dag in api.dags() if dag["is_paused"]}.intersection(
            f"silver_{name}" for name in domains
        )
    except StackError as error:
        return f"{error}".rstrip(".")
    return f"{', '.join(sorted(paused))} is paused" if paused else None


@contextmanager
def _connection() -> Iterator[psycopg.Connection]:
    """The warehouse; what goes wrong there becomes one sentence."""
    try:
        with connect(Settings.from_environment().warehouse_dsn, "paylake quarantine") as conn:
            yield conn
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        _fail("the warehouse has no quarantine of this version; `./paylake up` makes it", error)
    except UnknownRecordError as error:
        _fail(str(error), error, code=USAGE)
    except (MissingSettingError, RulesError, SchemaError, psycopg.Error) as error:
        _fail(str(error), error)


def _selection(
    domain: str | None,
    reason: str | None,
    field: str | None,
    since: datetime | None,
    until: datetime | None,
    *,
    done: bool | None,
) -> Selection:
    return Selection(domain, reason, field, _utc(since), _utc(until), done)


def _check_domain(conn: psycopg.Connection, domain: str | None) -> None:
    """A domain that has left the registry is one as long as quarantine knows it."""
    if domain is not None and domain not in DOMAINS and not quarantine.knows(conn, domain):
        raise typer.BadParameter(f"there is no domain {domain!r}; there are {', '.join(DOMAINS)}")


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _parse(text: str) -> Coordinates:
    try:
        return Coordinates.parse(text)
    except InvalidCoordinatesError as error:
        raise typer.BadParameter(str(error)) from error


def _fail(message: str, cause: Exception | None = None, *, code: int = 1) -> NoReturn:
    Console(stderr=True).print(Text.assemble(("error: ", "red"), printable(message)), highlight=False)
    raise typer.Exit(code) from cause


def _original(kept: Kept) -> Original | str:
    """The message in bronze, or why it is not to be had there: the rest of what is known is shown all the same."""
    domain = DOMAINS.get(kept.domain)
    if domain is None:
        return f"the registry has no domain {kept.domain} any more, so nobody knows where its bronze is"
    log = BronzeLog(s3_client(Settings.from_environment()), domain)
    try:
        return log.original(*kept.coordinates) or "bronze does not have the record"
    except (BotoCoreError, ClientError, CorruptObjectError) as error:
        return str(error)


def _message_as_json(original: Original | str, value: bytes | None) -> dict[str, Any]:
    message: dict[str, Any] = {"key_base64": None, "headers": None, "value_base64": _base64(value)}
    if isinstance(original, Original):
        message["key_base64"] = _base64(original.key)
        if original.headers is not None:
            message["headers"] = [{"name": name, "value_base64": _base64(it)} for name, it in original.headers]
    return message


def _base64(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode()


def _print_record(kept: Kept, value: bytes | None, original: Original | str) -> None:
    console = Console(highlight=False)

    def line(text: str) -> None:
        console.print(Text(printable(text)), soft_wrap=True)

    line(f"{kept.coordinates} of {kept.topic} ({kept.domain})")
    line(f"  Kafka's timestamp  {_kafka_time(kept.timestamp_ms)}")
    line(f"  refused            {_time(kept.quarantined_at)} by contract {kept.contract_version}{_state_suffix(kept)}")
    for reason in kept.reasons:
        line(f"  {reason['field'] or 'record'} {reason['code']}: {reason['message']}")
    if isinstance(original, str):
        line(f"  key and headers are not known: {original}")
    else:
        if original.key is not None:
            line(f"  key: {_shown(original.key)}")
        if original.headers is None:
            line("  headers: the Kafka client could not read them, a name is not UTF-8")
        for name, content in original.headers or ():
            line(f"  header {name}: {_shown(content)}")
    if value is None:
        line("  value: null")
        return
    text, note = value.decode("utf-8", "backslashreplace"), ""
    if text.encode() != value:
        note += ", not UTF-8: bytes that are none are shown as \\x.."
    if len(text) > SHOWN_CHARACTERS:
        text, note = text[:SHOWN_CHARACTERS], f"{note}, cut; --raw writes all of it"
    line(f"  value: {len(value):,} bytes{note}")
    line(text)


def _shown(content: bytes | None) -> str:
    return "null" if content is None else content.decode("utf-8", "backslashreplace")[:SHOWN_CHARACTERS]


def _print_classes(found: Redriven) -> None:
    console = Console(highlight=False)
    if not found.chosen:
        done = f" ({found.already_done:,} had landed before)" if found.already_done else ""
        console.print(f"None of these records waits in quarantine{done}.")
        return
    console.print(
        f"{found.valid.total():,} of {found.chosen:,} records keep their contract now: {_by_domain(found.valid)}"
    )
    if found.rejected:
        console.print(f"{found.rejected:,} are still rejected:")
        console.print(_reasons_table(found.by_reason()))
    for one in (one for one in found.by_reason() if one.code == UNKNOWN_DOMAIN):
        text = f"The registry has no domain {one.domain} any more: its {one.records:,} records stay here, whole."
        console.print(Text(printable(text)), soft_wrap=True)


def _print_landed(found: Redriven) -> None:
    console = Console(highlight=False)
    if found.landed.total():
        verdicts = f"{found.fraud:,} fraud, {found.genuine:,} genuine, {found.duplicates:,} duplicates"
        of_transactions = f" ({verdicts})" if found.fraud + found.genuine + found.duplicates else ""
        console.print(f"landed: {_by_domain(found.landed)}{of_transactions}")
    if found.refused.total():
        console.print(f"not taken in after all: {_by_domain(found.refused)}")
    if found.requested.total():
        console.print(f"not yet taken in by silver: {_by_domain(found.requested)}")


def _print_frauds(frauds: Sequence[dict[str, Any]]) -> None:
    for row in frauds:
        typer.echo(fraud_line(row))


def _by_domain(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()) if count) or "none"


def _reasons_table(reasons: Sequence[ReasonCount]) -> Table:
    table = Table("domain", "field", "reason", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("records", justify="right")
    for one in reasons:
        texts = (one.domain, one.field or "(record)", one.code)
        table.add_row(*(Text(printable(text)) for text in texts), f"{one.records:,}")
    return table


def _state_suffix(kept: Kept) -> str:
    if kept.redriven_at is not None:
        return f", landed {_time(kept.redriven_at)}"
    return f", asked for {_time(kept.requested_at)}" if kept.requested_at is not None else ""


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _kafka_time(timestamp_ms: int) -> str:
    if timestamp_ms == -1:
        return "none"
    try:
        return _time(datetime.fromtimestamp(timestamp_ms / 1000, UTC))
    except (ValueError, OverflowError, OSError):  # a producer may set any 64 bits
        return f"{timestamp_ms} ms"


def _as_json(kept: Kept) -> dict[str, Any]:
    times = {name: moment.isoformat() for name, moment in asdict(kept).items() if isinstance(moment, datetime)}
    return asdict(kept) | {"coordinates": str(kept.coordinates)} | times


def _redriven_as_json(found: Redriven) -> dict[str, Any]:
    return {
        "chosen": found.chosen,
        "valid": dict(found.valid),
        "rejected": found.rejected,
        "reasons": [asdict(one) for one in found.by_reason()],
        "landed": dict(found.landed),
        "fraud": found.fraud,
        "genuine": found.genuine,
        "duplicates": found.duplicates,
        "refused": dict(found.refused),
        "requested": dict(found.requested),
        "already_done": found.already_done,
    }
