"""Copies of this clone's files, of today and of an earlier commit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from include.local.layout import CLONE


def copy_of_clone(folder: Path) -> Path:
    """All files of this clone that belong to it, as they are now."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=CLONE, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, target = CLONE / name, folder / name
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    return folder


def has_commit(commit: str) -> bool:
    """Whether the commit is in this clone's history; a shallow clone has few."""
    return subprocess.run(["git", "cat-file", "-e", f"{commit}^{{commit}}"], cwd=CLONE, check=False).returncode == 0


def copy_of_commit(commit: str, folder: Path) -> Path:
    """All files of a commit."""
    folder.mkdir()
    archive = subprocess.run(["git", "archive", commit], cwd=CLONE, stdout=subprocess.PIPE, check=True)
    subprocess.run(["tar", "--extract", "--directory", folder], input=archive.stdout, check=True)
    return folder
