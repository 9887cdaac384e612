"""The files in silver's folders: only those that hold the rows of today may stay.

Then somebody who reads a folder as plain Parquet, without Iceberg, sees exactly the current rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.domains import SILVER_BUCKET, Domain
from include.lake.catalog import data_files
from include.lake.s3 import s3_client
from include.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_KEYS_PER_REQUEST = 1000


class StrayFilesError(RuntimeError):
    """S3 refused to delete files; the message names the first."""


def stray_files(settings: Settings, domain: Domain, branch: str | None = None) -> list[str]:
    """Keys in the domain's folder that the newest snapshot does not use: superseded, or left by a run that died.

    Those that ``branch`` uses are none.
    """
    # The listing comes first: a file that is added after it is not in it and can not be mistaken for a stray.
    present = _listed(s3_client(settings), f"{domain.silver_folder}/")
    return sorted(present - data_files(settings, domain, branch))


def remove_stray_files(settings: Settings, domain: Domain, branch: str | None = None) -> int:
    """Delete the stray files, but those of ``branch``; return how many there were.

    Only while holding the domain's lock, and after a commit of one's own, or after every other branch was dropped:
    files of a run that is still writing are strays, too, and only that makes sure that such a run fails and never
    publishes them.

    Raises:
        StrayFilesError: S3 refused.
    """
    s3 = s3_client(settings)
    strays = stray_files(settings, domain, branch)
    for first in range(0, len(strays), _KEYS_PER_REQUEST):
        keys = strays[first : first + _KEYS_PER_REQUEST]
        answer = s3.delete_objects(
            Bucket=SILVER_BUCKET, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
        )
        for error in answer.get("Errors", []):
            raise StrayFilesError(f"{error.get('Key')}: {error.get('Code')} {error.get('Message')}")
    return len(strays)


def _listed(s3: S3Client, prefix: str) -> set[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=SILVER_BUCKET, Prefix=prefix)
    return {entry["Key"] for page in pages for entry in page.get("Contents", [])}
