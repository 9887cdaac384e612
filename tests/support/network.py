"""A network that is slow, stands still and breaks off, between clients and a test's own servers.

Toxiproxy makes it, which is built once from its Go module. Kafka tells each client where its brokers are, so it gets a
listener of its own for those who come through the network, and sends them back through it.
"""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import httpx
from psycopg.conninfo import make_conninfo

from include.local.layout import locate, locked
from include.local.ports import HOST
from include.local.servers import kafka
from include.local.setup.cache import lock_of, mark_used
from include.local.setup.minio_build import go_command
from tests.docker.commands import run
from tests.support.servers import Name, Servers
from tests.support.waiting import wait_until

VERSION = "v2.12.0"
MODULE = f"github.com/Shopify/toxiproxy/v2/cmd/server@{VERSION}"

SERVERS: tuple[Name, ...] = ("kafka", "minio", "postgres")
# An answer takes 50 ms, give or take 20, and comes in pieces; a connection carries 2 MB/s.
SLOW: dict[str, dict[str, int]] = {
    "latency": {"latency": 25, "jitter": 10},
    "bandwidth": {"rate": 2_000},
    "slicer": {"average_size": 1_400, "size_variation": 700, "delay": 20},
}
FAULTS = ("stalls", "resets", "ends in the middle")


class Network:
    """Every way to the servers goes through it: ``settings`` are where clients find them then."""

    def __init__(self, servers: Servers, api: httpx.Client) -> None:
        self._api = api
        behind_kafka = free_port()
        ports = {
            "kafka": self._route("kafka", behind_kafka),
            "minio": self._route("minio", servers.stack.ports.minio),
            "postgres": self._route("postgres", servers.stack.ports.postgres),
        }
        direct = servers.settings
        self.settings = replace(
            direct,
            kafka_bootstrap_servers=f"{HOST}:{ports['kafka']}",
            s3_endpoint_url=f"http://{HOST}:{ports['minio']}",
            warehouse_dsn=make_conninfo(direct.warehouse_dsn, port=ports["postgres"]),
        )
        self._behind_kafka, self._kafka = behind_kafka, ports["kafka"]

    @contextmanager
    def failing(self, seed: int) -> Iterator[list[tuple[str, str]]]:
        """Let one connection after the other suffer, for the length of the block; yields what has been so far.

        What happens to which server in which order, and for how long, is the same for the same seed. Each server has
        suffered each fault after every nine.
        """
        chance, stop = random.Random(seed), threading.Event()  # noqa: S311  # no secret
        faults: list[tuple[str, str]] = []

        def fail() -> None:
            while True:
                each = list(product(SERVERS, FAULTS))
                chance.shuffle(each)
                for server, fault in each:
                    if stop.wait(chance.uniform(0.2, 1.5)):
                        return
                    with self._suffering(server, fault, chance):
                        stop.wait(chance.uniform(1.0, 4.0))
                    faults.append((server, fault))

        with ThreadPoolExecutor(1) as pool:
            end = pool.submit(fail)
            try:
                yield faults
            finally:
                stop.set()
            end.result()

    @contextmanager
    def _suffering(self, server: str, fault: str, chance: random.Random) -> Iterator[None]:
        match fault:
            case "stalls":
                made = [self._add(server, stream, "bandwidth", fault, rate=1) for stream in ("upstream", "downstream")]
            case "resets":
                made = [self._add(server, "downstream", "reset_peer", fault, timeout=0)]
            case _:
                stream = chance.choice(("upstream", "downstream"))
                made = [self._add(server, stream, "limit_data", fault, bytes=chance.randrange(1, 50_000))]
        try:
            yield
        finally:
            for name in made:
                self._api.delete(f"proxies/{server}/toxics/{name}").raise_for_status()

    def _route(self, server: str, port: int) -> int:
        """The port through which a server's port is reached over the network."""
        made = self._api.post("proxies", json={"name": server, "listen": f"{HOST}:0", "upstream": f"{HOST}:{port}"})
        made.raise_for_status()
        for stream, (kind, attributes) in product(("upstream", "downstream"), SLOW.items()):
            self._add(server, stream, kind, "slow", **attributes)
        return int(made.json()["listen"].rpartition(":")[2])

    def _add(self, server: str, stream: str, kind: str, why: str, **attributes: int) -> str:
        name = f"{kind} {stream} {why}".replace(" ", "-")
        toxic: dict[str, Any] = {"name": name, "type": kind, "stream": stream, "attributes": attributes}
        self._api.post(f"proxies/{server}/toxics", json=toxic).raise_for_status()
        return name

    @contextmanager
    def kafka_tells_of_it(self, servers: Servers) -> Iterator[None]:
        """Have Kafka listen for those who come through the network, and tell them no other address."""
        file = kafka.folder(servers.stack) / "server.properties"
        more = {
            "listeners": f"NETWORK://{HOST}:{self._behind_kafka}",
            "advertised.listeners": f"NETWORK://{HOST}:{self._kafka}",
            "listener.security.protocol.map": "NETWORK:PLAINTEXT",
        }
        before = after = file.read_text()
        for key, value in more.items():
            after = re.sub(rf"(?m)^{re.escape(key)}=.*$", rf"\g<0>,{value}", after)
        with servers.down("kafka"):
            file.write_text(after)
        try:
            yield
        finally:
            with servers.down("kafka"):
                file.write_text(before)


@contextmanager
def network(servers: Servers) -> Iterator[Network]:
    """A network before these servers, for the length of the block."""
    port = free_port()
    program: list[str | Path] = [ensure_binary(), "-host", HOST, "-port", str(port), "-seed", "1"]
    with (
        subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as proxy,
        httpx.Client(base_url=f"http://{HOST}:{port}", trust_env=False, timeout=30) as api,
    ):

        def answers() -> bool:
            assert proxy.poll() is None, "Toxiproxy ended"
            try:
                return api.get("version").is_success
            except httpx.TransportError:
                return False

        try:
            wait_until(answers, "an answer of Toxiproxy")
            made = Network(servers, api)
            with made.kafka_tells_of_it(servers):
                yield made
        finally:
            proxy.kill()


def ensure_binary() -> Path:
    """Build Toxiproxy unless it is there.

    Raises:
        StackError: the build failed; its last lines are in the message.
    """
    program = locate().cache / f"toxiproxy-{VERSION}" / "server"
    mark_used(program.parent)
    with locked(lock_of(program.parent), wait=True):
        if not program.exists():
            program.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=program.parent, prefix="build-") as folder:
                own = {name: f"{folder}/{name.lower()}" for name in ("GOPATH", "GOCACHE", "GOBIN")}
                environment = {**os.environ, **own, "GOFLAGS": "-trimpath -modcacherw", "CGO_ENABLED": "0"}
                run([*go_command(), "install", MODULE], f"building Toxiproxy {VERSION}", environment=environment)
                os.replace(f"{own['GOBIN']}/{program.name}", program)
    return program


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])
