"""The role in which S3 is used: for boto3, and as a ``credential_process`` for Spark's JVM.

    python -m include.lake.role

Both ask STS anew before what they have expires, so a stream outlasts any session of the role.
"""

from __future__ import annotations

import json
import sys

import boto3
from botocore.config import Config
from botocore.credentials import CredentialProvider, DeferredRefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError

from include.settings import Settings


class RoleProvider(CredentialProvider):
    """Gives a session of botocore the role of ``settings``, assumed with the credentials of ``base``."""

    METHOD = "paylake-role"

    def __init__(self, base: boto3.Session, settings: Settings) -> None:
        super().__init__()
        self._base = base
        self._settings = settings

    def load(self) -> DeferredRefreshableCredentials:
        """Credentials that are fetched at their first use, and again in time."""
        return DeferredRefreshableCredentials(lambda: assume_role(self._base, self._settings), self.METHOD)


def base_session(settings: Settings) -> boto3.Session:
    """A session without the role: with the keys, or what the provider chain finds in the profile or elsewhere."""
    return boto3.Session(
        aws_access_key_id=settings.s3_access_key_id,
        aws_secret_access_key=settings.s3_secret_access_key,
        aws_session_token=settings.s3_session_token,
        profile_name=None if settings.s3_access_key_id else settings.s3_profile,
        region_name=settings.s3_region,
    )


def assume_role(base: boto3.Session, settings: Settings) -> dict[str, str]:
    """Credentials of a new session of the role, named as botocore's refreshable credentials want them.

    Raises:
        botocore.exceptions.ClientError: STS refuses.
        botocore.exceptions.BotoCoreError: STS does not answer, a parameter is unknown, or ``base`` has no credentials.
    """
    sts = base.client(
        "sts",
        endpoint_url=settings.sts_endpoint_url,
        config=Config(retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=5, read_timeout=30),
    )
    given = sts.assume_role(**{"RoleSessionName": "paylake", **settings.s3_role})["Credentials"]
    return {
        "access_key": given["AccessKeyId"],
        "secret_key": given["SecretAccessKey"],
        "token": given["SessionToken"],
        "expiry_time": given["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def main() -> None:
    """Print credentials as the SDKs' ``credential_process`` expects them."""
    settings = Settings.from_environment()
    try:
        given = assume_role(base_session(settings), settings)
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"the role of S3 cannot be assumed: {error}")
    answer = {
        "Version": 1,
        "AccessKeyId": given["access_key"],
        "SecretAccessKey": given["secret_key"],
        "SessionToken": given["token"],
        "Expiration": given["expiry_time"],
    }
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
