"""What others leave in bronze's folders stops nobody and misleads nobody; ``verify`` names it."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from include.domains import BRONZE_BUCKET, TRANSACTIONS
from include.lake import bronze_log
from include.lake.bronze_log import BronzeLog
from include.lake.objects import CorruptObjectError, object_key, partition_prefix
from include.lake.positions import Positions
from include.lake.s3 import s3_client
from include.settings import Settings
from include.spark.bronze_batches import BatchPlanner
from include.status.layers import layer_parts
from include.status.stores import Stores
from include.verify import verify
from tests.support.books import judge_all
from tests.support.bronze import MANY, any_topic_id, drain, put_chain, values_by_partition
from tests.support.domains import own_domain
from tests.support.transactions_topic import TransactionsTopic

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.integration

SMALL_PAGE = 5
"""Names in one answer to a listing: so few that a handful of foreign names fills many answers."""


def litter(start: int, end: int) -> list[str]:
    """Names for a partition's folder that sort before, between and behind those of objects in [start, end]."""
    return [
        "",  # the folder itself, as the consoles of many stores make it
        ".DS_Store",
        "-old/00000000000000000000.json",
        *(f"-backup-{number}.json" for number in range(12)),
        "0.json.tmp",
        "0000000000000000000.json",
        *(f"{number:020d}.json.tmp" for number in range(start, end, 2)),
        *(f"{number:020d}.JSON" for number in range(start, end, 3)),
        f"{end + 3:020d}.json.gz",
        "00000000000000000001/00000000000000000000.json",
        *(f"0a{number}.json" for number in range(12)),
        *(f"2026-01-{number:02d}.parquet" for number in range(1, 13)),
        "99999999999999999999.json",
        "_SUCCESS",
        "_temporary/0/task/part-0.json",
        "archivé 🗄/00000000000000000000.json",
        "\x01",
    ]


def elsewhere(topic_id: str) -> list[str]:
    """Names for a domain's folder outside of a partition's."""
    copy = "00000000000000000000.json"
    return [
        "",
        "_SUCCESS",
        ".DS_Store",
        copy,
        f"{topic_id}/",
        f"{topic_id}/_SUCCESS",
        f"{topic_id}/{copy}",
        f"{topic_id}/00/{copy}",
        f"{topic_id}/-1/{copy}",
        f"{topic_id}/4294967296/{copy}",
        f"{topic_id}/²/{copy}",
        f"{topic_id}/backup/{copy}",
        f"{topic_id}/77/_SUCCESS",
        f"{topic_id}/78/",
        f"{topic_id}.bak/0/{copy}",
        f"{topic_id}-copy/0/{copy}",
        f"backup/{topic_id}/0/{copy}",
        f"backup_of_transactions/0/{copy}",
        f"{any_topic_id()}/0/.DS_Store",
        f"{any_topic_id()}/",
    ]


def put_all(s3: S3Client, keys: list[str]) -> None:
    def put(key: str) -> None:
        s3.put_object(Bucket=BRONZE_BUCKET, Key=key, Body=b"")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, keys))


@pytest.fixture
def listings(s3: S3Client) -> list[object]:
    """The requests for a listing from now on."""
    asked: list[object] = []
    s3.meta.events.register("before-call.s3.ListObjectsV2", lambda params, **_: asked.append(params))
    return asked


@pytest.fixture
def s3(settings: Settings) -> S3Client:
    return s3_client(settings)


def steps(log: BronzeLog, max_records: int) -> list[Positions]:
    """The ends of a stream's micro-batches, from its beginning until nothing comes any more."""
    planner = BatchPlanner(log, {}, max_records, MANY)
    found = [planner.next_end()]
    while (end := planner.next_end()) != found[-1]:
        found.append(end)
    return found


def test_writer_stream_layers_and_verify_work_among_foreign_objects(
    settings: Settings, s3: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bronze_log, "PAGE", SMALL_PAGE)
    topic = TransactionsTopic(settings)
    folder = f"{TRANSACTIONS.bronze_folder}/"
    foreign = [folder + name for name in elsewhere(topic.id)]
    for partition, until in enumerate((60, 5, 1)):  # the fourth is as it should be
        prefix = partition_prefix(TRANSACTIONS.bronze_folder, topic.id, partition)
        foreign += [prefix + name for name in litter(0, until)]
    put_all(s3, foreign)
    for _ in range(3):
        topic.produce(20)
        drain(TRANSACTIONS, settings)
    assert topic.in_bronze()
    log = topic.log
    assert values_by_partition(log, topic.id) == topic.produced[topic.id]
    ends = {topic.id: dict.fromkeys(range(4), 60)}
    assert log.end_positions() == ends
    assert log.generations() == [topic.id]
    planned = steps(log, max_records=80)
    assert planned[-1][topic.id].items() >= ends[topic.id].items()
    assert len(planned) == 3  # an object of each partition in a step
    bronze = layer_parts(Stores(settings))[f"bronze/{TRANSACTIONS.bronze_folder}"]
    assert bronze().rows == 240
    judge_all(settings)
    report = verify(settings, domains=[TRANSACTIONS], wait_seconds=0)
    assert [finding.check for finding in report.findings] == ["bronze_foreign"], report.problems()
    assert report.findings[0].count == len(foreign)
    assert report.records == 240
    for key in foreign:
        s3.delete_object(Bucket=BRONZE_BUCKET, Key=key)


def test_full_pages_of_foreign_names_hide_nothing_and_end_no_search(
    s3: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bronze_log, "PAGE", SMALL_PAGE)
    random.seed(10)
    topic_id = any_topic_id()
    for number_of_objects in (0, 1, SMALL_PAGE, 23):
        domain = own_domain()
        starts = [0, *sorted(random.sample(range(1, 60), max(number_of_objects - 1, 0)))][:number_of_objects]
        end = 60
        if starts:
            put_chain(s3, domain, topic_id, 0, starts, end)
        clean = _answers(BronzeLog(s3, domain), topic_id, starts)
        prefix = partition_prefix(domain.bronze_folder, topic_id, 0)
        names = litter(0, 60)
        for chosen in (random.sample(names, len(names) // 2), names):
            put_all(s3, [prefix + name for name in chosen])
            assert _answers(BronzeLog(s3, domain), topic_id, starts) == clean
        assert clean["end"] == (end if starts else 0)
        assert clean["objects"] == starts


def _answers(log: BronzeLog, topic_id: str, starts: list[int]) -> dict[str, object]:
    """Everything that is asked of one partition."""
    ends = [*starts[1:], 60] if starts else []
    return {
        "ends": log.end_positions(),
        "generations": log.generations(),
        "end": log.end_offset(topic_id, 0),
        "known": [log.end_offset(topic_id, 0, known) for known in ends],
        "objects": [listed.start for listed in log.objects(topic_id, 0)],
        "some": [listed.start for listed in log.objects(topic_id, 0, 20, 40)],
        "aligned": [log.aligned(topic_id, 0, offset) for offset in range(0, 61, 6)] if starts else [],
        "step": [log.step(topic_id, 0, start, start + 1, MANY) for start in [0, *ends]],
        "read": [record.offset for record in log.read(topic_id, 0, 0, 60)] if starts else [],
    }


def test_foreign_names_outside_of_the_range_of_ours_cost_no_listing(
    s3: S3Client, listings: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bronze_log, "PAGE", SMALL_PAGE)
    domain, topic_id = own_domain(), any_topic_id()
    put_chain(s3, domain, topic_id, 0, [0, 7], 9)
    prefix = partition_prefix(domain.bronze_folder, topic_id, 0)
    put_all(s3, [f"{prefix}{name}{number}" for name in ("-", "a", "2026-") for number in range(2 * SMALL_PAGE)])
    log = BronzeLog(s3, domain)
    listings.clear()
    assert (log.end_offset(topic_id, 0), len(listings)) == (9, 1)
    assert (log.step(topic_id, 0, 7, 100, MANY), len(listings)) == (9, 2)
    assert ([listed.start for listed in log.objects(topic_id, 0)], len(listings)) == ([0, 7], 3)


def test_a_partition_of_exactly_one_page_has_an_end(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bronze_log, "PAGE", SMALL_PAGE)
    domain, topic_id = own_domain(), any_topic_id()
    put_chain(s3, domain, topic_id, 0, list(range(SMALL_PAGE)), SMALL_PAGE)
    assert BronzeLog(s3, domain).end_offset(topic_id, 0) == SMALL_PAGE


def test_an_object_under_a_name_of_ours_that_is_none_of_ours_is_an_error_with_its_name(s3: S3Client) -> None:
    """Passing over it would let the chain end in silence; a writer would find the name taken again and again."""
    domain, topic_id = own_domain(), any_topic_id()
    key = object_key(domain.bronze_folder, topic_id, 0, 0)
    put_all(s3, [key])
    with pytest.raises(CorruptObjectError, match=key):
        BronzeLog(s3, domain).end_positions()


def test_an_object_with_the_name_of_a_folder_stops_no_writer_and_is_named(settings: Settings, s3: S3Client) -> None:
    """MinIO shows nothing of a folder whose name an object has; S3 does."""
    topic = TransactionsTopic(settings)
    topic.produce(5)
    drain(TRANSACTIONS, settings)
    hiding = partition_prefix(TRANSACTIONS.bronze_folder, topic.id, 1).removesuffix("/")
    put_all(s3, [hiding])
    topic.produce(5)
    drain(TRANSACTIONS, settings)
    report = verify(settings, domains=[TRANSACTIONS], wait_seconds=0)
    (named,) = [finding for finding in report.findings if finding.check == "bronze_foreign"]
    assert named.objects == (hiding,)
    s3.delete_object(Bucket=BRONZE_BUCKET, Key=hiding)
    topic.assert_each_record_is_in_bronze_once()
