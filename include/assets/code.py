"""The version of the code that makes an asset: a hash of its files, for an image knows no git."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
_KINDS = frozenset({".py", ".sql", ".yaml"})
_CHARACTERS = 12


@cache
def code_version(places: tuple[str, ...]) -> str:
    """The version of the files in these places, which are files or folders below `ROOT`.

    12 hexadecimal characters, the same wherever the same code is. Reading it again costs nothing.

    Raises:
        FileNotFoundError: there is no such place.
    """
    digest = hashlib.sha256()
    for file in sorted({file for place in places for file in _files(ROOT / place)}):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(ROOT).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:_CHARACTERS]


def _files(place: Path) -> list[Path]:
    if place.is_dir():
        return [file for file in place.rglob("*") if file.suffix in _KINDS and not file.name.startswith(".")]
    if not place.is_file():
        raise FileNotFoundError(f"{place} is no file or folder of code")
    return [place]
