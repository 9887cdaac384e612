"""Airflow's API server with our plugins, on a database of its own, for tests of what it serves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from include.local.layout import CLONE
from tests.support.ports import free_port_base
from tests.support.waiting import wait_until

ROLES = {"ana": "user", "vera": "viewer"}
"""Who may work, and who may only look; each one's password is the name."""


@dataclass(frozen=True)
class AirflowServer:
    """Where it answers, and what its processes have for an environment."""

    url: str
    environment: Mapping[str, str]

    def client(self, user: str | None) -> httpx.Client:
        """A client who is logged in as somebody, or, for None, is not."""
        headers = {}
        if user is not None:
            told = httpx.post(f"{self.url}/auth/token", json={"username": user, "password": user}, timeout=30)
            headers["Authorization"] = f"Bearer {told.raise_for_status().json()['access_token']}"
        return httpx.Client(base_url=f"{self.url}/paylake/", headers=headers, timeout=30)


@contextmanager
def airflow_server(home: Path, connections: dict[str, str], dags: Collection[str] = ()) -> Iterator[AirflowServer]:
    """Start one with the users `ROLES`, which knows some of our DAGs' files but runs none.

    ``connections`` are Airflow's, as URIs or JSON by id.
    """
    port = free_port_base()
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps({name: name for name in ROLES}), encoding="utf-8")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": f"{CLONE}:{CLONE / 'airflow' / 'plugins'}",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(CLONE / "airflow" / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in ROLES.items()),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of the tests that is long enough for HS512, and no other's at all",
        **{f"AIRFLOW_CONN_{name.upper()}": uri for name, uri in connections.items()},
    }
    airflow = str(Path(sys.executable).with_name("airflow"))
    subprocess.run([airflow, "db", "migrate"], env=environment, check=True, timeout=300, stdout=subprocess.DEVNULL)
    if dags:
        (home / "dags").mkdir()
        for name in dags:
            (home / "dags" / name).symlink_to(CLONE / "airflow" / "dags" / name)
        subprocess.run(
            [airflow, "dags", "reserialize"], env=environment, check=True, timeout=300, stdout=subprocess.DEVNULL
        )
    log = (home / "api-server.log").open("wb")
    server = subprocess.Popen(
        [airflow, "api-server", "--port", str(port), "--host", "127.0.0.1"],
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        if server.poll() is not None:
            raise RuntimeError((home / "api-server.log").read_text(errors="replace")[-3000:])
        try:
            return httpx.get(f"{url}/api/v2/version", timeout=5).is_success
        except httpx.TransportError:
            return False

    try:
        wait_until(answers, "the API server answers", 120)
        yield AirflowServer(url, environment)
    finally:
        os.killpg(server.pid, 15)
        server.wait(60)
        log.close()
