"""Writing an object once: whoever is first wins, and everybody else learns where the winner ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from include.domains import BRONZE_BUCKET
from include.lake.objects import CONTENT_TYPE, EncodedObject
from include.lake.s3 import status_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_TAKEN = 412


def put_once(s3: S3Client, key: str, encoded: EncodedObject) -> bool:
    """Write the object if no object has its name; whether this call wrote it.

    False may also mean that an earlier attempt of our own wrote it and the answer was lost: for the caller there is
    no difference, it has to look where the object that is there ends.
    """
    try:
        s3.put_object(
            Bucket=BRONZE_BUCKET,
            Key=key,
            Body=encoded.body,
            Metadata=encoded.metadata,
            ContentType=CONTENT_TYPE,
            IfNoneMatch="*",
        )
    except ClientError as error:
        if status_of(error) == _TAKEN:
            return False
        raise
    return True
