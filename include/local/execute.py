"""Becomes the process that a definition describes: ``python execute.py DEFINITION.json``.

Supervisor starts this rather than the server, so that its configuration, which it prints into logs, holds no passwords
and nothing has to be quoted for it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main(path: str) -> None:
    """Replace this process by the one described in the file."""
    definition = json.loads(Path(path).read_text())
    environment = {**os.environ, **definition["environment"]}
    if definition["cwd"]:
        os.chdir(definition["cwd"])
    if definition["user"] is not None:
        os.setgroups([])
        os.setgid(definition["group"])
        os.setuid(definition["user"])
    os.execvpe(definition["command"][0], definition["command"], environment)  # noqa: S606 (argument list, no shell)


if __name__ == "__main__":
    main(sys.argv[1])
