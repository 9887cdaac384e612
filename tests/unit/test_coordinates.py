"""How records are named."""

from __future__ import annotations

import pytest

from include.lake.coordinates import Coordinates, InvalidCoordinatesError


def test_coordinates_are_read_as_they_are_written() -> None:
    coordinates = Coordinates("q1Sh-9dSRuadF_X8l3-XkQ", 3, 2**63 - 1)
    assert Coordinates.parse(str(coordinates)) == coordinates


@pytest.mark.parametrize(
    "text",
    [
        "",
        "topic",
        "topic/0",
        "/0/1",
        "topic/0/1/2",
        "topic/-1/0",
        "topic/0/x",
        "topic/0/¹",
        "topic/0/9223372036854775808",
    ],
)
def test_what_names_no_record_is_refused(text: str) -> None:
    with pytest.raises(InvalidCoordinatesError, match=r"is not|does not know"):
        Coordinates.parse(text)
