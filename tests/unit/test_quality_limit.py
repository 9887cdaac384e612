"""The limit on the share of rejected records."""

from __future__ import annotations

import pytest

from include.local.servers import airflow
from include.quality import limit
from include.quality.limit import RejectedLimit


@pytest.mark.parametrize(("records", "rejected", "exceeded"), [(100, 50, False), (100, 51, True), (1000, 0, False)])
def test_the_share_itself_is_allowed_and_no_more(records: int, rejected: int, exceeded: bool) -> None:
    assert RejectedLimit(0.5).is_exceeded(records, rejected) is exceeded


def test_zero_allows_none_and_one_allows_all() -> None:
    assert not RejectedLimit(1.0).is_exceeded(200, 200)
    assert RejectedLimit(0.0).is_exceeded(200, 1)


def test_the_stack_without_docker_hands_on_the_setting_that_is_read() -> None:
    assert airflow.REJECTED_SHARE == limit.VARIABLE


def test_the_setting_comes_from_the_environment() -> None:
    assert RejectedLimit.from_environment({}).share == 0.5
    assert RejectedLimit.from_environment({"PAYLAKE_MAX_REJECTED_SHARE": "0.05"}).share == 0.05
    for wrong in ("half", "2", "-0.1", "nan"):
        with pytest.raises(ValueError, match="PAYLAKE_MAX_REJECTED_SHARE"):
            RejectedLimit.from_environment({"PAYLAKE_MAX_REJECTED_SHARE": wrong})
