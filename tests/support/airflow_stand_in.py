"""A stand-in for Airflow's API, where the real one does not fail as a test wants it to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from include.airflow_api import AirflowApi


@contextmanager
def served(answer: Callable[[str], tuple[int, bytes]]) -> Iterator[AirflowApi]:
    """The API of a server that gives to each request, known by its target, a status and a body; status 0 is no answer.

    It lets everybody in.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self._send(200, b'{"access_token": "t"}')

        def do_GET(self) -> None:
            self._send(*answer(self.path))

        def _send(self, status: int, body: bytes) -> None:
            if status:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield AirflowApi(f"http://127.0.0.1:{server.server_port}", "u", "p", 5)
    finally:
        server.shutdown()
        server.server_close()
