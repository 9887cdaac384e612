"""What ``./paylake quarantine`` shows people, and what it gives scripts as JSON."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from include.fraud.console import fraud_line, printable
from include.lake.records import Original
from include.quarantine.alarms import Alarm
from include.quarantine.rows import Kept, ReasonCount, Summary
from include.redrive.redrive import UNKNOWN_DOMAIN, Redriven

SHOWN_CHARACTERS = 5_000


def print_list(raised: Sequence[Alarm], state: str, summary: Summary, newest: Sequence[Kept]) -> None:
    """The alarms, how many records there are by domain and reason, and the newest of them, a line each."""
    console = Console(highlight=False)
    print_alarms(raised, console)
    console.print(f"{summary.records:,} records {state}")
    if summary.reasons:
        console.print(_reasons_table(summary.reasons))
    for one in newest:
        reasons = "; ".join(f"{reason['field'] or 'record'} {reason['code']}" for reason in one.reasons)
        line = f"{_time(one.quarantined_at)}  {one.domain}  {one.coordinates}  {reasons}{_state_suffix(one)}"
        console.print(Text(printable(line)), soft_wrap=True)


def print_alarms(found: Sequence[Alarm], console: Console) -> None:
    """The alarms that nobody has accepted, a line each."""
    for alarm in found:
        console.print(Text(printable(f"ALARM {alarm}"), style="red"), soft_wrap=True)


def message_as_json(original: Original | str, value: bytes | None) -> dict[str, Any]:
    """The message of a record, with its bytes in base64; key and headers are null where they are not known."""
    message: dict[str, Any] = {"key_base64": None, "headers": None, "value_base64": _base64(value)}
    if isinstance(original, Original):
        message["key_base64"] = _base64(original.key)
        if original.headers is not None:
            message["headers"] = [{"name": name, "value_base64": _base64(it)} for name, it in original.headers]
    return message


def _base64(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode()


def print_record(kept: Kept, value: bytes | None, original: Original | str) -> None:
    """A record with every reason, and the message; ``original`` may say why key and headers are not known."""
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


def print_classes(found: Redriven) -> None:
    """What today's contracts say of the chosen records."""
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
        text = f"The registry has no domain {one.domain} any more: its records stay here, whole ({one.records:,})."
        console.print(Text(printable(text)), soft_wrap=True)


def print_landed(found: Redriven) -> None:
    """Where they are now."""
    console = Console(highlight=False)
    if found.landed.total():
        verdicts = f"{found.fraud:,} fraud, {found.genuine:,} genuine, {found.duplicates:,} duplicates"
        of_transactions = f" ({verdicts})" if found.fraud + found.genuine + found.duplicates else ""
        console.print(f"landed: {_by_domain(found.landed)}{of_transactions}")
    if found.refused.total():
        console.print(f"not taken in after all: {_by_domain(found.refused)}")
    if found.requested.total():
        console.print(f"not yet taken in by silver: {_by_domain(found.requested)}")


def print_frauds(frauds: Sequence[dict[str, Any]]) -> None:
    """Transactions that landed and are fraud, as the stream prints them."""
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


def kept_as_json(kept: Kept) -> dict[str, Any]:
    """A record without its bytes; times in ISO 8601."""
    times = {name: moment.isoformat() for name, moment in asdict(kept).items() if isinstance(moment, datetime)}
    return asdict(kept) | {"coordinates": str(kept.coordinates)} | times


def redriven_as_json(found: Redriven) -> dict[str, Any]:
    """What became of the chosen records."""
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
