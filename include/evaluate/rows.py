"""Files of rows: Parquet, CSV with a header, or JSON lines, told by their names."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

FORMATS = (".parquet", ".csv", ".jsonl", ".ndjson")


class FileError(ValueError):
    """A file cannot be read as rows; the message names it."""


def json_rows(path: Path) -> Iterator[bytes]:
    """Each row as one JSON object, in the file's order. Of CSV every value is text, and an empty one is left out.

    Raises:
        FileError: the file is missing, has another format than `FORMATS`, or is broken.
    """
    reader = {".parquet": _parquet, ".csv": _csv, ".jsonl": _lines, ".ndjson": _lines}.get(path.suffix.lower())
    if reader is None:
        raise FileError(f"{path}: is none of {', '.join(FORMATS)}")
    try:
        yield from reader(path)
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise FileError(f"{path}: {error}") from error


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from (line.rstrip(b"\r\n") for line in file if line.strip())


def _csv(path: Path) -> Iterator[bytes]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file, strict=True):
            if None in row:
                raise csv.Error(f"a row has more values than the header has names: {row}")
            yield json.dumps({name: value for name, value in row.items() if value}).encode()


def _parquet(path: Path) -> Iterator[bytes]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            columns = [_plain(column).to_pylist() for column in batch.columns]
            for values in zip(*columns, strict=True):
                # Decimals and times are written as text, which says them exactly.
                yield json.dumps(dict(zip(batch.schema.names, values, strict=True)), default=str).encode()


def _plain(column: pa.Array) -> pa.Array:
    """Times of nanoseconds, which Python has no type for, as those of microseconds."""
    kind: Any = column.type
    return column.cast(pa.timestamp("us", kind.tz), safe=False) if pa.types.is_timestamp(kind) else column
