# /// script
# requires-python = ">=3.11"
# dependencies = ["synccfd==0.1.0", "haversine>=2.9", "numpy", "pandas", "pyarrow"]
# ///
"""Transactions and labels of the simulator synccfd, as Paylake's contract wants them.

synccfd is an evolution of the Fraud Detection Handbook's: customers in Brazil pay at terminals near them, or online,
with frauds of four scenarios. ``uv run tests/foreign/synccfd/simulate.py --seed 4 OUT`` writes ``transactions.parquet``
and ``labels.parquet``, to be judged by ``./paylake evaluate --transactions … --labels …``.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from haversine import haversine_vector
from synccfd import DatasetGenerator

SCENARIOS = {1: "above_220", 2: "compromised_terminal", 3: "stolen_number", 4: "stolen_card"}
CHANNELS = {"CP": "POS", "CNP": "Online"}
KNOWN_AFTER = pd.Timedelta(days=7)
"""So long after a fraud it is known, as in the handbook: a cardholder disputes it."""
_APART = 1_000_000


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block whatever is seeded with a constant is seeded with that and ``seed``.

    The simulator seeds its parts with 0, 1, the customer's number and the day, whatever ``random_state`` it is given:
    runs would have most of their transactions in common.
    """

    def moved(original: Callable[[int], None]) -> Callable[[int], None]:
        return lambda constant: original(constant + seed * _APART)

    def sampling(original: Callable[..., Any]) -> Callable[..., Any]:
        def sample(frame: object, *arguments: Any, random_state: int, **options: Any) -> Any:
            return original(frame, *arguments, random_state=random_state + seed * _APART, **options)

        return sample

    with (
        patch.object(random, "seed", moved(random.seed)),
        patch.object(np.random, "seed", moved(np.random.seed)),
        patch.object(pd.Series, "sample", sampling(pd.Series.sample)),
        patch.object(pd.DataFrame, "sample", sampling(pd.DataFrame.sample)),
    ):
        yield


def nearest(latitudes: Any, longitudes: Any, cities: Any) -> Any:
    """The name of the city nearest to each place."""
    names, centres = cities["name"].to_numpy(), cities[["lat", "long"]].to_numpy()
    places, place_of = np.unique(np.column_stack([latitudes, longitudes]), axis=0, return_inverse=True)
    parts = np.array_split(places, max(1, len(places) // 1_000))
    found = [names[haversine_vector(part, centres, comb=True).argmin(axis=0)] for part in parts]
    return np.concatenate(found)[place_of.ravel()]


def contract_rows(transactions: Any, cities: Any, prefix: str) -> Any:
    """The transactions with the contract's fields. Where an online one is, is where its goods go."""
    at_terminal = transactions.TX_TYPE == "CP"
    latitudes = np.where(at_terminal, transactions.TX_TERM_LAT, transactions.TX_SHIPP_LAT).astype(float)
    longitudes = np.where(at_terminal, transactions.TX_TERM_LONG, transactions.TX_SHIPP_LONG).astype(float)
    return pd.DataFrame(
        {
            "txn_id": [f"T{prefix}-{number:07}" for number in transactions.TRANSACTION_ID],
            "user_id": [f"U{int(number):06}" for number in transactions.CUSTOMER_ID],
            "amount": [f"{amount:.2f}" for amount in transactions.TX_AMOUNT],
            "merchant_id": [f"M{int(number):06}" for number in transactions.TERMINAL_ID],
            "channel": transactions.TX_TYPE.map(CHANNELS),
            "location": [f"{name}, Brazil" for name in nearest(latitudes, longitudes, cities)],
            "timestamp": transactions.TX_DATETIME.dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="Where the two files go.")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--customers", type=int, default=5_000)
    parser.add_argument("--terminals", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=70)
    parser.add_argument("--start", default="2025-01-01", help="The first day, UTC.")
    given = parser.parse_args()
    with seeded(given.seed):
        simulator = DatasetGenerator(
            n_customers=given.customers,
            n_terminals=given.terminals,
            nb_days=given.days,
            start_date=given.start,
            random_state=given.seed,
        )
        _, _, transactions = simulator.generate()
    transactions = transactions.sort_values(["TX_DATETIME", "TRANSACTION_ID"], kind="stable")
    rows = contract_rows(transactions, simulator.get_location_features().data["brazil_cities"], f"s{given.seed}")
    known_at = transactions.TX_DATETIME.where(transactions.TX_FRAUD == 1) + KNOWN_AFTER
    labels = pd.DataFrame(
        {
            "txn_id": rows.txn_id.to_numpy(),
            "is_fraud": transactions.TX_FRAUD == 1,
            "scenario": transactions.TX_FRAUD_SCENARIO.map(SCENARIOS),
            "known_at": known_at.dt.tz_localize("UTC"),
        }
    ).astype({"scenario": object})
    given.folder.mkdir(parents=True, exist_ok=True)
    rows.to_parquet(given.folder / "transactions.parquet", index=False)
    labels.where(labels.notna(), None).to_parquet(given.folder / "labels.parquet", index=False)


if __name__ == "__main__":
    main()
