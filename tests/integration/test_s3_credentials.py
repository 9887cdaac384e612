"""S3 by credentials that expire: a session token, a role to assume, and a profile whose credentials are replaced.

Those who use them are told apart from those who use the store's own keys by what they may: a session of MinIO's STS has
a policy of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from include.domains import BRONZE_BUCKET, MERCHANTS, SILVER_BUCKET
from include.lake.catalog import changed_rows
from include.lake.s3 import s3_client, s3_credentials, status_of
from include.settings import Settings
from tests.support.records import merchant
from tests.support.waiting import wait_until
from tests.support.world import World

pytestmark = pytest.mark.integration

CLONE = Path(__file__).parents[2]
ROLE = "arn:aws:iam::123456789012:role/lake"
SHORTEST = 900
"""Seconds that a session of STS lives at least."""


def policy(*buckets: str) -> str:
    places = [f"arn:aws:s3:::{bucket}{inside}" for bucket in buckets for inside in ("", "/*")]
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": places}]}
    )


def session_of(settings: Settings, bucket: str) -> dict[str, str]:
    """Keys and a token of a session that may use this bucket only."""
    sts = boto3.client(
        "sts",
        endpoint_url=settings.s3_endpoint_url,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key_id,
        aws_secret_access_key=settings.s3_secret_access_key,
    )
    given = sts.assume_role(RoleArn=ROLE, RoleSessionName="test", Policy=policy(bucket), DurationSeconds=SHORTEST)
    return {name: given["Credentials"][name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")}


def in_session(settings: Settings, bucket: str) -> Settings:
    given = session_of(settings, bucket)
    return replace(
        settings,
        s3_access_key_id=given["AccessKeyId"],
        s3_secret_access_key=given["SecretAccessKey"],
        s3_session_token=given["SessionToken"],
    )


def in_role(settings: Settings, *buckets: str) -> Settings:
    role = {"RoleArn": ROLE, "DurationSeconds": SHORTEST, "Policy": policy(*buckets)}
    return replace(settings, s3_role=role, sts_endpoint_url=settings.s3_endpoint_url)


class Profile:
    """A profile whose credentials are always good for 20 s more, and are replaced when a test wants it."""

    def __init__(self, folder: Path) -> None:
        self._given = folder / "given"
        script = folder / "credentials.sh"
        script.write_text(f'sed "s/UNTIL/$(date -u -d "+20 seconds" +%FT%TZ)/" {self._given}\n')
        self.config = folder / "config"
        self.config.write_text(f"[profile lake]\ncredential_process = sh {script}\n")

    def replace(self, credentials: dict[str, str]) -> None:
        new = self._given.with_suffix(".new")
        new.write_text(json.dumps({"Version": 1, **credentials, "Expiration": "UNTIL"}))
        new.rename(self._given)


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    profile = Profile(tmp_path)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(profile.config))
    return profile


def in_profile(settings: Settings) -> Settings:
    return replace(settings, s3_access_key_id=None, s3_secret_access_key=None, s3_profile="lake")


def may(s3: Any, bucket: str) -> bool:
    try:
        s3.list_objects_v2(Bucket=bucket, MaxKeys=1)
    except ClientError as error:
        if status_of(error) != 403:
            raise
        return False
    return True


def signers(s3: Any) -> list[str]:
    """The access keys by which the client's requests are signed, as they come."""
    found: list[str] = []

    def note(request: Any, **_: Any) -> None:
        authorization = request.headers["Authorization"]
        text = authorization.decode() if isinstance(authorization, bytes) else authorization
        found.append(text.split("Credential=")[1].split("/")[0])

    s3.meta.events.register("before-send.s3", note)
    return found


def test_a_session_token_is_used(settings: Settings) -> None:
    session = in_session(settings, BRONZE_BUCKET)
    assert [may(s3_client(session), bucket) for bucket in (BRONZE_BUCKET, SILVER_BUCKET)] == [True, False]
    assert not may(s3_client(replace(session, s3_session_token=None)), BRONZE_BUCKET)
    assert s3_credentials(session).token == session.s3_session_token


def test_a_role_is_assumed_anew_before_its_session_ends(settings: Settings) -> None:
    role = in_role(settings, BRONZE_BUCKET)
    s3 = s3_client(role)
    keys = signers(s3)
    # So short a session is always about to end.
    assert [may(s3, bucket) for bucket in (BRONZE_BUCKET, SILVER_BUCKET, BRONZE_BUCKET)] == [True, False, True]
    assert len({settings.s3_access_key_id, *keys}) == 4
    assert s3_credentials(role).access_key not in {settings.s3_access_key_id, *keys}


def test_clients_of_a_longer_session_share_it(settings: Settings) -> None:
    role = in_role(settings, BRONZE_BUCKET)
    role = replace(role, s3_role={**role.s3_role, "DurationSeconds": 3600})
    first, second = s3_client(role), s3_client(role)
    keys = [signers(first), signers(second)]
    assert may(first, BRONZE_BUCKET)
    assert may(second, BRONZE_BUCKET)
    assert may(first, BRONZE_BUCKET)
    assert {key for found in keys for key in found} == {s3_credentials(role).access_key}


def test_a_client_goes_on_with_what_its_profile_has_now(settings: Settings, profile: Profile) -> None:
    profile.replace(session_of(settings, BRONZE_BUCKET))
    s3 = s3_client(in_profile(settings))
    assert [may(s3, bucket) for bucket in (BRONZE_BUCKET, SILVER_BUCKET)] == [True, False]
    profile.replace(session_of(settings, SILVER_BUCKET))
    assert [may(s3, bucket) for bucket in (BRONZE_BUCKET, SILVER_BUCKET)] == [False, True]


class Driver:
    """A Spark driver that looks into buckets."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def look(self, bucket: str, others: Settings | None = None) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"uri": f"s3a://{bucket}/", "environment": others.as_environment() if others else None}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


@contextmanager
def driver(settings: Settings) -> Iterator[Driver]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.s3_reader"],
        env=os.environ | settings.as_environment(),
        cwd=CLONE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Driver(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(60)
            finally:
                process.kill()


def test_a_spark_that_runs_goes_on_with_what_its_profile_has_now(settings: Settings, profile: Profile) -> None:
    profile.replace(session_of(settings, BRONZE_BUCKET))
    with driver(in_profile(settings)) as spark:
        assert [spark.look(bucket) for bucket in (BRONZE_BUCKET, SILVER_BUCKET)] == ["may", "AccessDeniedException"]
        profile.replace(session_of(settings, SILVER_BUCKET))
        wait_until(lambda: spark.look(SILVER_BUCKET) == "may", "Spark to have the new credentials")
        assert spark.look(BRONZE_BUCKET) == "AccessDeniedException"

        session = in_session(settings, BRONZE_BUCKET)
        assert [spark.look(bucket, session) for bucket in (BRONZE_BUCKET, SILVER_BUCKET)] == [
            "may",
            "AccessDeniedException",
        ]


def rows(settings: Settings) -> Iterable[dict[str, Any]]:
    _, batches = changed_rows(settings, MERCHANTS, 0)
    return [row for batch in batches for row in batch.to_pylist()]


def test_a_record_comes_to_silver_and_is_read_there_in_a_role(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = in_role(settings, BRONZE_BUCKET, SILVER_BUCKET)
    for name, value in role.as_environment().items():
        monkeypatch.setenv(name, value)
    World(settings, MERCHANTS, tmp_path).wipe()
    world = World(role, MERCHANTS, tmp_path)
    world.produce(merchant(1, merchant_name="Shop"))
    assert world.report_of(world.submit())["valid"] == 1
    assert [row["merchant_name"] for row in rows(role)] == ["Shop"]
    with pytest.raises(OSError, match=r"(?i)access.denied"):
        rows(in_role(settings, BRONZE_BUCKET))
