"""What supervisor does with a server that ends as soon as it starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from include.local.layout import locate
from include.local.ports import Ports
from include.local.servers.process import Process
from include.local.supervision.supervisor import Supervisor
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

# Cannot run without a file, and writes down each try.
SERVER = 'echo >> "$0.tries"; test -e "$0.needed" && exec sleep 300'


def test_it_is_never_given_up_and_can_be_started_at_once(tmp_path: Path) -> None:
    stack = replace(locate(), home=tmp_path / "home", ports=Ports.free())
    stack.run.mkdir(parents=True)
    supervisor = Supervisor(stack)
    process = Process("server", ["sh", "-c", SERVER, str(tmp_path / "server")])
    tries = tmp_path / "server.tries"

    def state() -> str:
        return supervisor.conditions()["server"].state

    try:
        supervisor.configure([process])
        assert supervisor.start(process)
        # Four tries are supervisor's own limit; the pauses between them are 1, 2, 3, 4 s.
        wait_until(lambda: tries.exists() and len(tries.read_text()) > 4, "a fifth try", 60)
        wait_until(lambda: state() == "BACKOFF", "the end of this try", 10)
        (tmp_path / "server.needed").touch()
        assert supervisor.start(process)
        assert supervisor.conditions()["server"].running
        assert not supervisor.start(process)
    finally:
        supervisor.shut_down()
