"""Removes a stack with all its data."""

from __future__ import annotations

import shutil
from pathlib import Path

from include.errors import StackError
from include.local.layout import Stack, foreign_files
from include.local.servers import postgres
from include.local.start import down


def folders(stack: Stack) -> list[Path]:
    """The folders that ``reset`` removes, as far as they exist."""
    candidates = [stack.home, postgres.open_folder(stack), stack.supervisor_socket.parent]
    return list(dict.fromkeys(folder for folder in candidates if folder.exists() and not _within(folder, stack.home)))


def _within(folder: Path, home: Path) -> bool:
    return folder != home and folder.is_relative_to(home)


def reset(stack: Stack) -> list[Path]:
    """Stop the stack and remove its data, passwords and logs; returns the removed folders.

    Raises:
        StackError: the folder holds other things too, or the stack can not be stopped.
    """
    if foreign := foreign_files(stack.home):
        names = ", ".join(foreign[:5])
        raise StackError(f"{stack.home} holds what is not Paylake's ({names}); nothing was removed.")
    down(stack)
    removed = folders(stack)
    for folder in removed:
        shutil.rmtree(folder)
    return removed
