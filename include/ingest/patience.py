"""Outlasting a server that is away: try again with growing pauses, up to a limit, unless told to stop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as S3ConnectionError
from confluent_kafka import KafkaException
from tenacity import RetryError, Retrying, retry_if_exception, stop_before_delay, wait_exponential

from include.ingest.errors import KafkaUnavailableError, S3UnavailableError, StoreFullError
from include.kafka.clients import kafka_away
from include.kafka.topics import TopicTimeoutError
from include.lake.s3 import status_of
from include.retries import tell

T = TypeVar("T")
log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 2.0

_S3_AWAY = (S3ConnectionError, HTTPClientError, IncompleteReadError)
# 409: two conditional writes at the same moment, and perhaps none of them won.
_S3_PASSING = frozenset({408, 409, 429})
_S3_FULL = 507


class StoppedError(Exception):
    """The ingestion was told to stop while it waited for a server."""


class Patience:
    """How long to try, and who may say that it is enough."""

    def __init__(self, limit_seconds: float, stop: Callable[[], bool]) -> None:
        self._limit = limit_seconds
        self._stop = stop

    def with_s3(self, action: Callable[[], T]) -> T:
        """Run ``action`` until S3 answers it.

        Raises:
            S3UnavailableError: S3 was away for longer than the limit.
            StoreFullError: S3 has no room.
            StoppedError: told to stop while it was away.
            botocore.exceptions.ClientError: S3 refused what was asked.
        """
        try:
            return self._outlast("S3", action, _s3_passes, S3UnavailableError)
        except ClientError as error:
            if status_of(error) == _S3_FULL:
                raise StoreFullError(error.response["Error"]["Code"]) from error
            raise

    def with_kafka(self, action: Callable[[], T]) -> T:
        """Run ``action`` until Kafka answers it.

        Raises:
            KafkaUnavailableError: Kafka was away for longer than the limit.
            StoppedError: told to stop while it was away.
            confluent_kafka.KafkaException: Kafka refused what was asked.
        """
        return self._outlast("Kafka", action, kafka_passes, KafkaUnavailableError)

    def _outlast(
        self,
        server: str,
        action: Callable[[], T],
        passes: Callable[[BaseException], bool],
        unavailable: type[Exception],
    ) -> T:
        retrying = Retrying(
            retry=retry_if_exception(passes),
            stop=stop_before_delay(self._limit),
            wait=wait_exponential(multiplier=_FIRST_PAUSE, max=_LONGEST_PAUSE),
            sleep=self.pause,
            before_sleep=tell(log, server),
        )
        try:
            return retrying(action)
        except RetryError as gave_up:
            waited = retrying.statistics["delay_since_first_attempt"]
            error = gave_up.last_attempt.exception()
            raise unavailable(f"no answer for {waited:.0f} s: {error}") from error

    def pause(self, seconds: float) -> None:
        """Wait.

        Raises:
            StoppedError: told to stop meanwhile.
        """
        end = time.monotonic() + seconds
        while not self._stop():
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.1))
        raise StoppedError


def _s3_passes(error: BaseException) -> bool:
    if isinstance(error, ClientError):
        status = status_of(error)
        return status in _S3_PASSING or (status >= 500 and status != _S3_FULL)
    return isinstance(error, _S3_AWAY)


def kafka_passes(error: BaseException) -> bool:
    """Whether an error of a question to Kafka passes by itself."""
    if isinstance(error, KafkaException):
        return kafka_away(error.args[0])
    return isinstance(error, TopicTimeoutError)
