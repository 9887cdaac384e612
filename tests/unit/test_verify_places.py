"""Which records of a partition have a place, put together from pieces."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from include.verify.places import FRAUD, GENUINE, SILVER, Places, silver_pieces


def test_pieces_in_any_order_become_one_ascending_list_for_each_partition() -> None:
    pieces = [
        ("topic", 0, "genuine", np.array([1_000_002, 1_000_000])),
        ("topic", 0, "fraud", np.array([7, 5])),
        ("topic", 1, "genuine", np.array([5])),
        ("topic", 0, "genuine", np.array([5, 6])),
    ]
    places = Places(pieces)
    placed = places.of(("topic", 0))
    assert set(places.partitions()) == {("topic", 0), ("topic", 1)}
    assert placed.offsets.tolist() == [5, 5, 6, 7, 1_000_000, 1_000_002]
    assert (placed.count(FRAUD), placed.count(GENUINE)) == (2, 4)
    assert placed.doubled().tolist() == [5]
    assert sorted(placed.names_of(5)) == ["fraud", "genuine"]
    assert placed.below(7).distinct().tolist() == [5, 6]


def test_the_rows_of_silver_are_at_their_coordinates_in_kafka() -> None:
    rows = pa.table(
        {
            "merchant_id": ["M1", "M2", "M3"],
            "bronze_topic_id": ["a", "b", "a"],
            "bronze_partition": pa.array([0, 0, 0], pa.int32()),
            "bronze_offset": [9, 4, 3],
        }
    )
    places = Places(silver_pieces(pa.concat_tables([rows, rows.slice(0, 1)])))
    assert places.of(("a", 0)).offsets.tolist() == [3, 9, 9]
    assert places.of(("b", 0)).count(SILVER) == 1
    assert not Places(silver_pieces(rows.slice(0, 0))).partitions()
