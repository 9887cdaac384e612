"""Becomes the process that a definition describes: ``python execute.py DEFINITION.json``.

Supervisor starts this rather than the server, so that its configuration, which it prints into logs, holds no passwords
and nothing has to be quoted for it.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path


def main(path: str) -> None:
    """Replace this process by the one described in the file."""
    definition = json.loads(Path(path).read_text())
    if definition["needs_port"] is not None:
        wait_for_port(definition["needs_port"])
    environment = {**os.environ, **definition["environment"]}
    if definition["cwd"]:
        os.chdir(definition["cwd"])
    if definition["user"] is not None:
        os.setgroups([])
        os.setgid(definition["group"])
        os.setuid(definition["user"])
    os.execvpe(definition["command"][0], definition["command"], environment)  # noqa: S606 (argument list, no shell)


def wait_for_port(port: int) -> None:
    """Return when something listens on the port of this machine.

    A server that cannot do without another one would end at once while that is away, and supervisor would start it ever
    more seldom.
    """
    waiting = False
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError as error:
            if not waiting:
                print(f"waiting for 127.0.0.1:{port}: {error}", flush=True)
            waiting = True
            time.sleep(0.5)
        else:
            return


if __name__ == "__main__":
    main(sys.argv[1])
