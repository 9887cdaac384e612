"""How people are told, as they get it: a webhook and a mail server that keep what comes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer, StreamRequestHandler, ThreadingTCPServer
from typing import Any


@contextmanager
def webhook(*, status: int = 200) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that answers each POST with ``status``: its address, and what was posted so far."""
    told: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with _served(server):
        yield f"http://127.0.0.1:{server.server_port}", told


@contextmanager
def mail_server() -> Iterator[tuple[int, list[str]]]:
    """A mail server that takes everything: its port, and the messages so far."""
    messages: list[str] = []

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            for line in self.rfile:
                command = line[:4].upper()
                if command == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    messages.append(b"".join(iter(self.rfile.readline, b".\r\n")).decode())
                self.wfile.write(b"221 bye\r\n" if command == b"QUIT" else b"250 ok\r\n")

    server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
    with _served(server):
        yield server.server_address[1], messages


@contextmanager
def _served(server: BaseServer) -> Iterator[None]:
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
