"""Weights as int8, symmetric about zero: one scale an output channel, or one a row of a table."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int8]
LARGEST = 127


def quantize_channels(weights: Floats) -> tuple[Integers, Floats, Floats]:
    """Weights [width, channels] as int8; one scale a channel and the sum of its scaled integers, [channels].

    The sums are what a product gains where the other side has an offset.
    """
    rows, scales = quantize_rows(weights.T)
    sums = scales[:, 0] * rows.sum(axis=1, dtype=np.int32).astype(np.float32)
    return np.ascontiguousarray(rows.T), scales[:, 0], sums


def quantize_rows(table: Floats) -> tuple[Integers, Floats]:
    """A table [rows, width] as int8, and one scale a row, [rows, 1]; a row of zeros has scale 0."""
    scales = (np.abs(table).max(axis=1, keepdims=True) / np.float32(LARGEST)).astype(np.float32)
    divisors = np.where(scales == 0, np.float32(1), scales)
    return np.clip(np.rint(table / divisors), -LARGEST, LARGEST).astype(np.int8), scales
