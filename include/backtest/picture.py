"""A back-test as a picture: alerts by day, and by rule."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from include.backtest.report import BackTest
from include.domains import CHECKPOINTS_BUCKET

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FOLDER = "backtests/"
"""Where in the bucket of checkpoints pictures are kept."""

_BEFORE, _NOW = "#9aa5b1", "#c8102e"


def draw(result: BackTest, path: Path) -> None:
    """Draw stored alerts and those of the rules side by side, into a file whose ending says the format.

    Raises:
        ValueError: there is no such format; OSError: the file cannot be written.
    """
    figure = Figure(figsize=(11, 8), layout="constrained")
    by_day, by_rule = figure.subplots(2)
    days = sorted(result.days)
    places = range(len(days))
    by_day.bar([place - 0.2 for place in places], [result.days[day][0] for day in days], 0.4, color=_BEFORE)
    by_day.bar([place + 0.2 for place in places], [result.days[day][1] for day in days], 0.4, color=_NOW)
    by_day.set_xticks(list(places), [day.isoformat() for day in days], rotation=45, ha="right")
    by_day.set_title(f"Alerts by day: stored (grey), rules {result.rules_version} (red)")
    rules = list(result.rules)[::-1]
    places = range(len(rules))
    by_rule.barh([place + 0.2 for place in places], [result.rules[rule].stored for rule in rules], 0.4, color=_BEFORE)
    by_rule.barh([place - 0.2 for place in places], [result.rules[rule].fired for rule in rules], 0.4, color=_NOW)
    by_rule.set_yticks(list(places), rules)
    by_rule.set_title("Alerts by rule")
    figure.savefig(path)


def keep(s3: S3Client, result: BackTest, name: str) -> str:
    """Draw the result and keep the picture in the lake under ``name``; its address."""
    key = f"{FOLDER}{re.sub('[^A-Za-z0-9_.-]', '-', name)}.png"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "backtest.png"
        draw(result, path)
        s3.put_object(Bucket=CHECKPOINTS_BUCKET, Key=key, Body=path.read_bytes(), ContentType="image/png")
    return f"s3://{CHECKPOINTS_BUCKET}/{key}"


def remove_old(s3: S3Client, before: datetime) -> int:
    """Remove the pictures that were kept before this moment; how many."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=CHECKPOINTS_BUCKET, Prefix=FOLDER)
    old = [one["Key"] for page in pages for one in page.get("Contents", []) if one["LastModified"] < before]
    for key in old:
        s3.delete_object(Bucket=CHECKPOINTS_BUCKET, Key=key)
    return len(old)
