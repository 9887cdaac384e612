"""Exact amounts as whole numbers: of ten-thousandths of the book currency, as the contract's ``numeric(19,4)``."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pyarrow as pa

SCALE = 4
UNIT = 10**SCALE
DECIMALS = pa.decimal128(28, SCALE)
"""The type of what is made of amounts: sums of more of them than there will ever be."""

_EXACT = 1 << 63


def units_of(amounts: pa.ChunkedArray) -> list[int]:
    """The unscaled values of decimals without nulls, so units if they have `SCALE` places."""
    width = amounts.type.byte_width
    parts = [
        np.frombuffer(chunk.buffers()[1], np.uint8)[chunk.offset * width : (chunk.offset + len(chunk)) * width]
        for chunk in amounts.chunks
    ]
    whole = np.concatenate(parts) if parts else np.empty(0, np.uint8)
    words = whole.view("<i8").reshape(-1, width // 8)
    low = words[:, 0]
    if (words[:, 1:] == (low >> 63)[:, None]).all():
        plain: list[int] = low.tolist()
        return plain
    raw = whole.tobytes()
    return [int.from_bytes(raw[at : at + width], "little", signed=True) for at in range(0, len(raw), width)]


def decimals(units: Sequence[int | None]) -> pa.Array:
    """Units as decimals of the type `DECIMALS`; None is null."""
    if any(one is not None and not -_EXACT <= one < _EXACT for one in units):
        return pa.array([None if one is None else Decimal(one).scaleb(-SCALE) for one in units], DECIMALS)
    low = pa.array(units, pa.int64())
    wide = np.empty((len(units), 2), np.int64)
    wide[:, 0] = low.fill_null(0).to_numpy(zero_copy_only=False)
    wide[:, 1] = wide[:, 0] >> 63
    return pa.Array.from_buffers(DECIMALS, len(units), [low.buffers()[0], pa.py_buffer(wide)])


def rounded_ratio(above: int, below: int) -> int:
    """The quotient of two whole numbers, ``below`` above zero, rounded half up."""
    return (2 * above + below) // (2 * below)
