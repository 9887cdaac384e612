"""Every SQL statement longer than a line, one file each in its owner's folder, and the one way to load them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import LiteralString

SQL_FOLDER = Path(__file__).parent


@cache
def load_sql(name: str) -> LiteralString:
    """The text of ``include/sql/<name>.sql``; the name begins with the folder.

    Statements with ``{placeholders}`` are meant for ``psycopg.sql.SQL(...).format(...)``. The files are part of the
    program, which is why their text may count as literal for psycopg's types.

    Raises:
        FileNotFoundError: there is no such file.
    """
    return (SQL_FOLDER / f"{name}.sql").read_text(encoding="utf-8")
