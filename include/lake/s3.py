"""The S3 client that everything outside Spark uses."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from include.domains import BRONZE_BUCKET
from include.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def s3_client(settings: Settings, attempts: int = 5, read_timeout: float = 30) -> S3Client:
    """A client for any S3; path-style addresses, because a bucket's own host name exists on AWS only.

    Retries are botocore's standard mode: ``attempts`` with back-off, then the error is raised. An attempt ends after
    5 s without a connection and after ``read_timeout`` seconds without a byte.
    """
    return boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint_url,
        aws_access_key_id=settings.s3_access_key_id,
        aws_secret_access_key=settings.s3_secret_access_key,
        region_name=settings.s3_region,
        config=Config(
            s3={"addressing_style": "path"},
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=5,
            read_timeout=read_timeout,
        ),
    )


class RequestsUnderWay:
    """Whether an answer of S3 is waited for, in whatever thread, through this client."""

    def __init__(self, s3: S3Client) -> None:
        # By thread, each of which has one at a time: of a request whose answer cannot be read botocore tells no end.
        self._threads: set[int] = set()
        s3.meta.events.register("before-send.s3", self._begin)
        s3.meta.events.register("response-received.s3", self._end)

    def any(self) -> bool:
        """Ask."""
        return bool(self._threads)

    def _begin(self, **_: Any) -> None:
        self._threads.add(get_ident())

    def _end(self, **_: Any) -> None:
        self._threads.discard(get_ident())


def s3_away(s3: S3Client) -> bool:
    """Whether S3 does not answer, or says that it cannot; takes as long as the client's attempts do."""
    try:
        s3.head_bucket(Bucket=BRONZE_BUCKET)
    except ClientError as error:
        return status_of(error) >= 500
    except BotoCoreError:
        return True
    return False


def status_of(error: ClientError) -> int:
    """The HTTP status of S3's answer, 0 when it gave none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_missing(error: ClientError) -> bool:
    """Whether S3 said that there is no such object."""
    return status_of(error) == 404
