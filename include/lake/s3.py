"""The S3 client that everything outside Spark's JVM uses, and its credentials."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.credentials import CredentialResolver, ReadOnlyCredentials
from botocore.exceptions import ClientError, NoCredentialsError
from botocore.session import Session

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
