"""A back-test as a process of its own: ``python -m include.backtest.job``, asked and answering in JSON.

For tasks of Airflow: who reads bronze beside a back-test is a process that begins as its parent did, and a second
Airflow task it cannot be.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from io import StringIO

from rich.console import Console

from include.backtest.cli import back_test, show
from include.backtest.picture import keep
from include.backtest.summary import summary
from include.fraud.rulebook import parse_rules
from include.lake.s3 import s3_client
from include.lifetime import die_with_parent
from include.settings import Settings


def main() -> None:
    """Try the ``rules`` from ``since`` until ``until``; keep the picture under ``name``.

    Answers with ``result`` (without its examples), ``table`` (with them), ``summary`` in Markdown, and ``picture``.
    """
    die_with_parent()
    asked, settings = json.load(sys.stdin), Settings.from_environment()
    since, until = (datetime.fromisoformat(asked[name]) for name in ("since", "until"))
    result = back_test(settings, parse_rules(asked["rules"], "rules"), since, until)
    table = StringIO()
    show(result, Console(file=table, width=160))
    answer = {
        "result": {name: value for name, value in result.as_json().items() if name != "examples"},
        "table": table.getvalue(),
        "summary": summary(result),
        "picture": keep(s3_client(settings), result, asked["name"]),
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
