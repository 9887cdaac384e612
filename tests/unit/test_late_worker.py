"""A query is started again only where Spark did not wait for its source's Python process, and not for ever."""

from __future__ import annotations

import pytest
from pyspark.errors import StreamingQueryException

from include.spark.late_worker import LATE, TRIES, outlasting_late_workers


class Query:
    """Fails with these errors one after the other, and then ends well."""

    def __init__(self, *errors: str) -> None:
        self._errors = list(errors)
        self.starts = 0

    def run(self) -> str:
        self.starts += 1
        if self._errors:
            raise StreamingQueryException(f"Query [id = 1] terminated with exception: {self._errors.pop(0)}.")
        return "ended"


def test_a_query_whose_process_is_late_is_started_again() -> None:
    query = Query(*[LATE] * (TRIES - 1))
    assert outlasting_late_workers(query.run) == "ended"
    assert query.starts == TRIES


@pytest.mark.parametrize(("errors", "starts"), [([LATE] * (TRIES + 1), TRIES), ([LATE, "S3 is away"], 2)])
def test_what_does_not_pass_is_told(errors: list[str], starts: int) -> None:
    query = Query(*errors)
    with pytest.raises(StreamingQueryException, match=errors[-1]):
        outlasting_late_workers(query.run)
    assert query.starts == starts
