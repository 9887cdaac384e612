"""The limit on the share of rejected records."""

from __future__ import annotations

import pytest

from include.quality.limit import RejectedLimit, TooManyRejectedError

REASONS = {"amount missing": 40, "not_json": 70}


@pytest.mark.parametrize(("records", "rejected"), [(99, 99), (100, 50), (1000, 0), (0, 0)])
def test_runs_within_the_limit_or_too_small_to_tell_go_on(records: int, rejected: int) -> None:
    RejectedLimit(0.5).check("users", records, rejected, lambda: REASONS)


def test_a_run_above_the_limit_is_refused_with_its_reasons_by_count() -> None:
    with pytest.raises(TooManyRejectedError, match=r"users: 110 of 200 .* not_json: 70, amount missing: 40$"):
        RejectedLimit(0.5).check("users", 200, 110, lambda: REASONS)


def test_zero_allows_none_and_one_allows_all() -> None:
    RejectedLimit(1.0).check("users", 200, 200, lambda: REASONS)
    with pytest.raises(TooManyRejectedError):
        RejectedLimit(0.0).check("users", 200, 1, lambda: REASONS)


def test_the_setting_comes_from_the_environment() -> None:
    assert RejectedLimit.from_environment({}).share == 0.5
    assert RejectedLimit.from_environment({"PAYLAKE_MAX_REJECTED_SHARE": "0.05"}).share == 0.05
    for wrong in ("half", "2", "-0.1", "nan"):
        with pytest.raises(ValueError, match="PAYLAKE_MAX_REJECTED_SHARE"):
            RejectedLimit.from_environment({"PAYLAKE_MAX_REJECTED_SHARE": wrong})
