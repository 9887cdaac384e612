"""Writers of bronze that are killed, paused and measured at chosen moments."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Mapping
from enum import Enum
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import psutil

from include.domains import BRONZE_BUCKET, Domain
from include.ingest import IngestError, Limits, ingest
from include.lake.s3 import s3_client
from include.settings import Settings
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Moment(Enum):
    """Where a writer can be made to stand still."""

    BEFORE_PUT = "the first objects are made and none is sent"
    AFTER_PUT = "an object is written and the writer does not know it yet"
    MID_BATCH = "of the objects of one flush, one is written and another is not sent"


class Writer:
    """A following writer in a process of its own, which a test kills, pauses and measures.

    With ``moment`` it stands still where it first comes to it: ``arrived`` waits for that and says which object it was
    about, ``go_on`` lets it go. It ends with the block.
    """

    def __init__(
        self,
        domain: Domain,
        settings: Settings,
        limits: Limits | None = None,
        moment: Moment | None = None,
        **consumer_config: object,
    ) -> None:
        processes = multiprocessing.get_context("forkserver")
        processes.set_forkserver_preload(["tests.support.bronze_writer"])
        self._connection, theirs = processes.Pipe()
        self._told_to_stop = processes.Event()
        config = {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            **{key.replace("_", "."): value for key, value in consumer_config.items()},
        }
        arguments = (domain, settings, config, limits, moment, theirs, self._told_to_stop)
        self._process = processes.Process(target=_follow, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        assert self._process.pid is not None
        self._seen = psutil.Process(self._process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        self._process.kill()
        self._process.join()

    def stop(self) -> None:
        """Tell it to write what it has in hand and end."""
        self._told_to_stop.set()

    def pause(self) -> None:
        """SIGSTOP: all its threads stand still, its connections stay open."""
        self._seen.suspend()
        wait_until(lambda: self._seen.status() == psutil.STATUS_STOPPED, "the writer to stand still")

    def wake(self) -> None:
        """Let it go on after ``pause``."""
        self._seen.resume()

    def arrived(self) -> str:
        """The name of the object the chosen moment is about; for ``MID_BATCH`` the one that is not sent."""
        return str(self._heard())

    def go_on(self) -> int:
        """Let it leave the moment before the PUT; returns the HTTP status of S3's answer to that PUT."""
        self._connection.send(None)
        return int(self._heard())

    def error(self) -> Mapping[str, Any]:
        """How the writer ended by itself: the attributes of its ``IngestError``, its ``type`` and its ``text``."""
        return dict(self._heard())

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process.is_alive()

    def memory(self) -> int:
        """Bytes of memory it has now."""
        return int(self._seen.memory_info().rss)

    def _heard(self) -> Any:
        assert self._connection.poll(60), "the writer said nothing for 60 s"
        return self._connection.recv()


def _follow(
    domain: Domain,
    settings: Settings,
    consumer_config: Mapping[str, Any],
    limits: Limits | None,
    moment: Moment | None,
    test: Connection,
    told_to_stop: Event,
) -> None:
    """The body of a writer's process; it ends when its test's process does."""
    s3 = s3_client(settings)
    if moment is not None:
        _Brake(moment, test).attach(s3)
    parent = multiprocessing.parent_process()
    assert parent is not None
    try:
        ingest(
            domain,
            consumer_config=consumer_config,
            s3=s3,
            stop=lambda: told_to_stop.is_set() or not parent.is_alive(),
            follow=True,
            limits=limits,
        )
    except IngestError as error:
        test.send({**vars(error), "type": type(error).__name__, "text": str(error)})


class _Brake:
    """In the writer's process: holds the thread that comes to the chosen moment first, and tells the test."""

    def __init__(self, moment: Moment, test: Connection) -> None:
        self._moment = moment
        self._test = test
        self._here = threading.local()  # which object this thread is about to write
        self._changed = threading.Condition()
        self._answered = 0
        self._waiting = False
        self._used = False
        self._let_go = threading.Event()

    def attach(self, s3: S3Client) -> None:
        s3.meta.events.register("before-send.s3.PutObject", self._before)
        s3.meta.events.register("after-call.s3.PutObject", self._after)

    def _before(self, request: Any, **_: object) -> None:
        self._here.key = urlsplit(request.url).path.removeprefix(f"/{BRONZE_BUCKET}/")
        self._here.held = False
        if self._moment is Moment.BEFORE_PUT or (self._moment is Moment.MID_BATCH and self._another_is_written()):
            self._hold()

    def _after(self, http_response: Any, **_: object) -> None:
        if self._here.held:
            self._test.send(http_response.status_code)
        with self._changed:
            self._answered += 1
            self._changed.notify_all()
        if self._moment is Moment.AFTER_PUT and http_response.status_code == 200:
            self._hold()

    def _another_is_written(self) -> bool:
        """Whether another thread writes an object while this one waits: not long, it may be the only one."""
        with self._changed:
            if self._waiting:  # or all would wait for each other
                return False
            self._waiting, before = True, self._answered
            try:
                return self._changed.wait_for(lambda: self._answered > before, 0.2)
            finally:
                self._waiting = False

    def _hold(self) -> None:
        with self._changed:
            first, self._used = not self._used, True
        if first:
            self._here.held = True
            self._test.send(self._here.key)
            self._test.recv()
            self._let_go.set()
        elif self._moment is Moment.BEFORE_PUT:
            self._let_go.wait()
