"""What feeds the hot paths, in processes of their own, as the stack's tasks run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from threading import Event

from include.bench.submit import BenchError
from include.domains import TRANSACTIONS
from include.generators.traffic import produce_transactions
from include.ingest import Limits, ingest
from include.lake.s3 import s3_client
from include.lifetime import die_with_parent, stop_on_signals
from include.settings import Settings

_STOP_SECONDS = 120.0


@contextmanager
def apart(work: Callable[..., None], *arguments: object) -> Iterator[None]:
    """Have ``work(*arguments)`` run in a process of its own for the length of the block; SIGTERM tells it to end.

    Raises:
        BenchError: it ended by itself, or not in order.
    """
    process = get_context("spawn").Process(target=work, args=arguments)
    process.start()
    try:
        yield
        if not process.is_alive():
            raise BenchError(f"{work.__name__} ended by itself with {process.exitcode}")
        process.terminate()
        process.join(_STOP_SECONDS)
    finally:
        process.kill()
        process.join()
    if process.exitcode != 0:
        raise BenchError(f"{work.__name__} ended with {process.exitcode}")


def follow(settings: Settings, limits: Limits | None = None) -> None:
    """Bring transactions into bronze as they come."""
    config, s3 = settings.kafka_config, s3_client(settings)
    ingest(TRANSACTIONS, consumer_config=config, s3=s3, stop=_told_to_stop().is_set, follow=True, limits=limits)


def generate_at(settings: Settings, rate: float, run_id: str) -> None:
    """Make and send so many transactions a second, with their labels, all of them by the contract."""
    stop = _told_to_stop()
    produce_transactions(settings.kafka_config, rate=rate, dirt_share=0.0, run_id=run_id, stop=stop.is_set)


def _told_to_stop() -> Event:
    stop = Event()
    stop_on_signals(stop)
    die_with_parent()
    return stop
