"""``./paylake quarantine``: look at records that broke their contract, and drive them through again."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, NoReturn

import psycopg
import typer
from botocore.exceptions import BotoCoreError, ClientError
from confluent_kafka import KafkaException
from rich.console import Console
from rich.text import Text

from include.domains import DOMAINS
from include.fraud.console import printable
from include.fraud.rulebook import RulesError
from include.ingest.errors import SkipRefusedError
from include.ingest.skip import skip as step_over
from include.kafka.topics import TopicTimeoutError
from include.lake.bronze_log import BronzeLog
from include.lake.coordinates import Coordinates
from include.lake.objects import CorruptObjectError
from include.lake.records import Original
from include.lake.s3 import s3_client
from include.postgres import connect
from include.quarantine import alarms
from include.quarantine import rows as quarantine
from include.quarantine.rows import Kept, Selection
from include.redrive.options import (
    ANY_TOPIC_ID,
    AsJson,
    AtField,
    ForReason,
    InDomain,
    Since,
    Until,
    Yes,
    check_domain,
    coordinates_of,
    selection_of,
)
from include.redrive.redrive import Redrive, Redriven, UnknownRecordError
from include.redrive.render import (
    kept_as_json,
    message_as_json,
    print_alarms,
    print_classes,
    print_frauds,
    print_landed,
    print_list,
    print_record,
    redriven_as_json,
)
from include.redrive.wake import wake
from include.settings import MissingSettingError, Settings
from include.warehouse.schema import SchemaError, apply_schema

USAGE = 2
SILVER_SECONDS = 300.0
"""How long `redrive` waits for silver, unless it is told otherwise, when it could wake silver."""

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
    selection = selection_of(domain, reason, field, since, until, done=None if every else done)
    with _connection() as conn:
        check_domain(conn, domain)
        summary = quarantine.summarize(conn, selection)
        newest = quarantine.newest(conn, selection, limit)
        raised = alarms.open_alarms(conn, domain)
    if as_json:
        found = {"records": summary.records, "reasons": [asdict(one) for one in summary.reasons]}
        found["alarms"] = [alarm.as_json() for alarm in raised]
        typer.echo(json.dumps(found | {"newest": [kept_as_json(one) for one in newest]}))
        return
    state = "in all" if every else "driven through again" if done else "waiting"
    print_list(raised, state, summary, newest)


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
    record = coordinates_of(coordinates)
    with _connection() as conn:
        found = quarantine.find(conn, record)
    if found is None:
        _fail(f"{record} is not in quarantine and never was", code=USAGE)
    kept, value = found
    if raw:
        sys.stdout.buffer.write(value or b"")
        sys.stdout.buffer.flush()
    elif as_json:
        message = message_as_json(_original(kept), value)
        typer.echo(json.dumps(kept_as_json(kept) | message))
    else:
        print_record(kept, value, _original(kept))


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
    selection = selection_of(domain, reason, field, since, until, done=False)
    chosen: Selection | list[Coordinates] = selection
    if coordinates:
        if selection != Selection(done=False):
            raise typer.BadParameter("choose records either by their coordinates or by options")
        chosen = [coordinates_of(one) for one in coordinates]
    messages = Console(stderr=True, highlight=False)
    with _connection() as conn:
        check_domain(conn, domain)
        # A contract that was mended may want other constraints, and without them no row of it would get in.
        apply_schema(conn)
        work = Redrive(conn, chosen, lambda frauds: None if as_json else print_frauds(frauds))
        found = None
        if dry_run or not yes:
            found = work.examine()
            if not as_json:
                print_classes(found)
        if not dry_run and (found is None or _agreed(found)):
            found = work.drive()
            if yes and not as_json:
                print_classes(found)
            _land(work, found, wait, messages)
            if not as_json:
                print_landed(found)
    assert found is not None  # noqa: S101 - one of the two has set it
    if as_json:
        typer.echo(json.dumps({"dry_run": dry_run} | redriven_as_json(found)))
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
        check_domain(conn, domain)
        found = alarms.open_alarms(conn, domain)
        if not as_json:
            print_alarms(found, console)
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
    record = coordinates_of(coordinates)
    try:
        settings = Settings.from_environment()
        # The client's own remarks would stand between the lines; what goes wrong is raised.
        kafka = {"log_level": 4, **settings.kafka_config}
        found = step_over(kafka, s3_client(settings), record)
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
    problem = wake(domains)
    if problem:
        messages.print(Text(f"{problem}. The next silver run takes the records in."))
    seconds = (0.0 if problem else SILVER_SECONDS) if wait is None else wait
    if seconds:
        messages.print(f"waiting for silver ({', '.join(domains)}) …")
        work.wait(found, seconds)


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
