"""The S3 client that everything outside Spark's JVM uses, and its credentials."""

from __future__ import annotations

from functools import cache
from threading import get_ident
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.credentials import CredentialResolver, ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.session import Session

from include.domains import BRONZE_BUCKET
from include.lake.role import RoleProvider, base_session
from include.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def s3_client(settings: Settings, attempts: int = 5, timeout: float = 30.0) -> S3Client:
    """A client for any S3; path-style addresses, because a bucket's own host name exists on AWS only.

    Retries are botocore's standard mode: ``attempts`` with back-off, then the error is raised. An attempt ends after
    5 s without a connection and after ``timeout`` seconds without a byte. Credentials that expire are renewed before.

    Raises:
        botocore.exceptions.ProfileNotFound: the settings name a profile that nobody has written.
        ValueError: the address is none.
    """
    return _session(settings).client(
        "s3",
        endpoint_url=settings.s3_endpoint_url,
        config=Config(
            s3={"addressing_style": "path"},
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=min(5.0, timeout),
            read_timeout=timeout,
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


def s3_credentials(settings: Settings) -> ReadOnlyCredentials:
    """The credentials of this moment, for a library that cannot renew them: ask again for each piece of work.

    They hold for ten minutes at least, unless whoever gives them gives them for less.

    Raises:
        botocore.exceptions.NoCredentialsError: nothing in the provider chain gives any.
        botocore.exceptions.BotoCoreError, ClientError: they cannot be had.
    """
    credentials = _session(settings).get_credentials()
    if credentials is None:
        raise NoCredentialsError
    return credentials.get_frozen_credentials()


@cache
def _session(settings: Settings) -> boto3.Session:
    """One session for all clients, so that all share credentials, and who asks for a client does not ask STS too."""
    base = base_session(settings)
    if not settings.s3_role:
        return base
    core = Session()
    core.register_component("credential_provider", CredentialResolver([RoleProvider(base, settings)]))
    return boto3.Session(botocore_session=core, region_name=settings.s3_region)


def status_of(error: ClientError) -> int:
    """The HTTP status of S3's answer, 0 when it gave none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_missing(error: ClientError) -> bool:
    """Whether S3 said that there is no such object."""
    return status_of(error) == 404
