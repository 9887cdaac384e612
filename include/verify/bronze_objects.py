"""What bronze holds of a domain: every object of its folder, read whole and in order.

The objects are found by listing, not along their chain: a verification has to see also what nothing leads to.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING

import numpy as np
from botocore.exceptions import ClientError
from numpy.typing import NDArray

from include.domains import BRONZE_BUCKET, Domain
from include.lake.bronze_log import BrokenChainError, BronzeLog, ObjectContent
from include.lake.objects import CorruptObjectError, object_key, partition_prefix, place_of_key
from include.lake.s3 import is_missing
from include.verify.kafka_log import NULL_CHECKSUM, checksums
from include.verify.offsets import NONE, Offsets, Partition, doubled
from include.verify.report import Finding, kept, listed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_AHEAD = 8
"""Objects that are fetched while another one is looked at; each has a few megabytes at most."""


@dataclass(slots=True)
class Folder:
    """The names in a domain's folder: starts of objects by partition, ascending, and names of anything else."""

    starts: dict[Partition, list[int]]
    foreign: list[str]


@dataclass(slots=True)
class BronzePartition:
    """The records of one partition below an end; ``nulls`` are the offsets of the null values among them.

    ``covered`` is where its last object ends.
    """

    offsets: Offsets = field(default_factory=lambda: NONE)
    checksums: NDArray[np.int64] = field(default_factory=lambda: NONE)
    nulls: Offsets = field(default_factory=lambda: NONE)
    covered: int = 0
    objects: int = 0
    findings: list[Finding] = field(default_factory=list)


def list_folder(s3: S3Client, domain: Domain, unwanted: Event) -> Folder:
    """All names in the domain's folder; fewer once the answer is ``unwanted``."""
    starts: dict[Partition, list[int]] = defaultdict(list)
    foreign: list[str] = []
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BRONZE_BUCKET, Prefix=f"{domain.bronze_folder}/")
    for page in pages:
        if unwanted.is_set():
            break
        for entry in page.get("Contents", []):
            place = place_of_key(entry["Key"], domain.bronze_folder)
            if place is None:
                foreign.append(entry["Key"])
            else:
                topic_id, partition, start = place
                starts[topic_id, partition].append(start)
    return Folder({partition: sorted(found) for partition, found in sorted(starts.items())}, foreign)


Look = Callable[[ObjectContent], None]
"""What is done with each object's records; they are all below the end that was asked for."""


def read_partition(
    s3: S3Client, domain: Domain, partition: Partition, starts: Sequence[int], end: int, look: Look
) -> BronzePartition:
    """Read the objects that begin below ``end`` and check that they follow one another without hole or overlap.

    An object that is missing, unreadable or out of its place becomes a finding, and reading goes on after it.
    """
    found = BronzePartition()
    offsets: list[NDArray[np.int64]] = []
    sums: list[NDArray[np.int64]] = []
    wanted = [start for start in starts if start < end]
    reached: int | None = 0
    for start, content in _contents(BronzeLog(s3, domain), partition, wanted):
        key = object_key(domain.bronze_folder, *partition, start)
        found.objects += 1
        if reached is not None and start != reached:
            found.findings.append(_misplaced(domain, partition, key, reached, start))
        if isinstance(content, Exception):
            found.findings.append(_unreadable(domain, partition, key, content))
            reached = None  # nobody knows where it ends
            continue
        found.covered = reached = max(found.covered, content.end)
        cut = _cut(content, end)
        offsets.append(np.array(cut.offsets, np.int64))
        sums.append(np.array(checksums(cut.values), np.int64))
        look(cut)
    if offsets:
        every, beside = np.concatenate(offsets), np.concatenate(sums)
        found.offsets, first = np.unique(every, return_index=True)
        found.checksums = beside[first]
        found.nulls = np.unique(every[beside == NULL_CHECKSUM])
        if found.offsets.size < every.size:
            found.findings.append(_doubled(domain, partition, np.sort(every)))
    return found


def _contents(
    log: BronzeLog, partition: Partition, starts: Sequence[int]
) -> Iterator[tuple[int, ObjectContent | Exception]]:
    """The objects in order, some of them fetched ahead."""
    with ThreadPoolExecutor(_AHEAD, thread_name_prefix="bronze-get") as threads:
        pending: deque[tuple[int, Future[ObjectContent]]] = deque()
        for start in starts:
            pending.append((start, threads.submit(log.content, *partition, start)))
            if len(pending) > _AHEAD:
                yield _result(*pending.popleft())
        while pending:
            yield _result(*pending.popleft())


def _result(start: int, future: Future[ObjectContent]) -> tuple[int, ObjectContent | Exception]:
    try:
        return start, future.result()
    except (CorruptObjectError, BrokenChainError) as error:
        return start, error


def _cut(content: ObjectContent, end: int) -> ObjectContent:
    """The object's records below ``end``."""
    if not content.offsets or content.offsets[-1] < end:
        return content
    return content.slice(0, sum(offset < end for offset in content.offsets))


def _misplaced(domain: Domain, partition: Partition, key: str, reached: int, start: int) -> Finding:
    hole = start > reached
    what = (
        f"no object covers offsets {reached} to {start - 1} before it"
        if hole
        else f"offsets {start} to {reached - 1} are covered by objects before it, too"
    )
    return Finding(
        check="bronze_hole" if hole else "bronze_overlap",
        domain=domain.name,
        message=f"bronze: {key}: {what}",
        count=abs(start - reached),
        topic_id=partition[0],
        partition=partition[1],
        ranges=((min(start, reached), max(start, reached) - 1),),
        objects=(key,),
    )


def _unreadable(domain: Domain, partition: Partition, key: str, error: Exception) -> Finding:
    return Finding(
        check="bronze_object",
        domain=domain.name,
        message=f"bronze: {error}",
        count=1,
        topic_id=partition[0],
        partition=partition[1],
        objects=(key,),
    )


def _doubled(domain: Domain, partition: Partition, offsets: Offsets) -> Finding:
    twice = doubled(offsets)
    return Finding(
        check="bronze_double",
        domain=domain.name,
        message=f"bronze {partition[0]}/{partition[1]}: {twice.size} records are in more than one object",
        count=int(twice.size),
        topic_id=partition[0],
        partition=partition[1],
        ranges=tuple((offset, offset) for offset in twice[:20].tolist()),
    )


def hiding_objects(s3: S3Client, domain: Domain, partitions: Iterable[Partition]) -> list[str]:
    """Objects that have exactly the name of a folder of these partitions; MinIO lists nothing of such a folder."""
    names = {domain.bronze_folder}
    for topic_id, number in partitions:
        folder = partition_prefix(domain.bronze_folder, topic_id, number).removesuffix("/")
        names |= {folder, folder.rpartition("/")[0]}
    return sorted(name for name in names if _exists(s3, name))


def _exists(s3: S3Client, key: str) -> bool:
    try:
        s3.head_object(Bucket=BRONZE_BUCKET, Key=key)
    except ClientError as error:
        if is_missing(error):
            return False
        raise
    return True


def foreign_objects(domain: Domain, folder: Folder) -> list[Finding]:
    """A finding for what lies in the folder under other names than bronze gives."""
    if not folder.foreign:
        return []
    names = listed(folder.foreign)
    return [
        Finding(
            check="bronze_foreign",
            domain=domain.name,
            message=f"bronze: not written by Paylake's ingestion: {names}",
            count=len(folder.foreign),
            objects=kept(folder.foreign),
        )
    ]
