"""A process that needs a server is not begun before that listens."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from include.local.servers.process import Process
from include.local.supervision.supervisor import EXECUTE


def test_a_process_waits_for_the_port_it_needs(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))  # taken, but nobody listens yet
        process = Process("client", ["echo", "begun"], needs_port=server.getsockname()[1])
        process.definition_file(tmp_path).write_text(process.to_json())
        started = subprocess.Popen(
            [sys.executable, "-I", EXECUTE, process.definition_file(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert started.stdout is not None
        assert "waiting for 127.0.0.1" in started.stdout.readline()
        server.listen()
        assert started.stdout.readline() == "begun\n"
        assert started.wait(10) == 0
