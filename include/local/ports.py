"""Which TCP ports a stack uses, and whether they are free."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import asdict, astuple, dataclass, fields

from include.errors import StackError

HOST = "127.0.0.1"
HIGHEST = 65535


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one stack; every server listens on 127.0.0.1 only."""

    airflow: int = 8080
    minio: int = 9000
    minio_console: int = 9001
    postgres: int = 5432
    kafka: int = 9092
    kafka_controller: int = 9093

    @classmethod
    def from_base(cls, base: int) -> Ports:
        """The ports ``base``, ``base + 1``, ... in the order of the fields.

        Raises:
            StackError: they do not lie between 1024 and 65535.
        """
        count = len(fields(cls))
        if not 1024 <= base <= HIGHEST - count + 1:
            raise StackError(f"PAYLAKE_PORT_BASE is {base}; it must lie between 1024 and {HIGHEST - count + 1}.")
        return cls(*range(base, base + count))

    @classmethod
    def from_text(cls, text: str) -> Ports:
        """Like ``from_base`` for a number that a user typed."""
        try:
            return cls.from_base(int(text))
        except ValueError as error:
            raise StackError(f"PAYLAKE_PORT_BASE is {text!r}; it must be a number such as 20000.") from error

    @classmethod
    def free(cls) -> Ports:
        """Ports that were free a moment ago, for stacks that live as long as a test."""
        sockets = [socket.create_server((HOST, 0)) for _ in fields(cls)]
        try:
            return cls(*(server.getsockname()[1] for server in sockets))
        finally:
            for server in sockets:
                server.close()

    def by_name(self) -> dict[str, int]:
        """Port by the name of its field."""
        return asdict(self)

    def __post_init__(self) -> None:
        if len(set(astuple(self))) != len(astuple(self)):
            raise StackError(f"Two servers of the stack would share a port: {self.by_name()}.")


def why_unusable(port: int) -> str | None:
    """Why nothing of ours can listen on the port now, or None when it is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
        # As the servers themselves do it: a connection that lingers from an earlier run is no reason to refuse.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((HOST, port))
            server.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "is taken by another program"
            return os.strerror(error.errno or 0).lower()
    return None
