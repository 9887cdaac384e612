"""The bench itself, in short: it measures, and what it measures is not what it was."""

from __future__ import annotations

import pytest

from include.bench import traffic
from include.settings import Settings

pytestmark = pytest.mark.integration


def test_making_transactions_costs_a_fraction_of_calling_faker_for_each_field(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "RECORDS", 20_000)
    monkeypatch.setattr(traffic, "FAKER_RECORDS", 2_000)
    (figure,) = traffic.generate(settings, rounds=3)
    unmade, faker = figure.peers
    # Wide: 0.7 and 17 on a machine that did nothing else.
    assert figure.ratio(unmade) > 0.2
    assert figure.ratio(faker) > 5
