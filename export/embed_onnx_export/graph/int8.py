"""Weights as int8, symmetric about zero: one scale an output channel, or one a row of a table.

Without VNNI, x86 CPUs multiply uint8 by int8 numbers two at a time, inputs 2i and 2i + 1, and add the two
products in 16 signed bits, where 255 * 128 fits and what does not is cut off. So a channel's scale is the
least at which no number exceeds 127 and no such pair sums to more than 128: its products are then the same on
every CPU, whatever the 8 bits of the other side. Large weights seldom stand in pairs, so this costs little.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int8]
LARGEST = 127
LARGEST_PAIR = LARGEST + 1
"""Of the sum of two numbers: 127 before they are rounded, by a half each."""


def quantize_channels(weights: Floats) -> tuple[Integers, Floats, Floats]:
    """Weights [width, channels] as int8; one scale a channel and the sum of its scaled integers, [channels].

    Neighbours 2i and 2i + 1 sum to at most ``LARGEST_PAIR``. The sums are what a product gains where the
    other side has an offset.
    """
    channels = np.ascontiguousarray(weights.T)
    pairs = channels[:, :-1:2] + channels[:, 1::2]
    values, scales = _quantize(channels, np.maximum(_largest(channels), _largest(pairs)))
    sums = scales[:, 0] * values.sum(axis=1, dtype=np.int32).astype(np.float32)
    return np.ascontiguousarray(values.T), scales[:, 0], sums


def quantize_rows(table: Floats) -> tuple[Integers, Floats]:
    """A table [rows, width] as int8, and one scale a row, [rows, 1]; a row of zeros has scale 0."""
    return _quantize(table, _largest(table))


def _largest(rows: Floats) -> Floats:
    """The largest magnitude of each row, [rows, 1]; 0 of an empty one."""
    magnitudes: Floats = np.abs(rows).max(axis=1, keepdims=True, initial=0)
    return magnitudes


def _quantize(rows: Floats, magnitudes: Floats) -> tuple[Integers, Floats]:
    """Rows as int8, in steps of a 127th of their magnitude [rows, 1]; and the steps."""
    scales = (magnitudes / np.float32(LARGEST)).astype(np.float32)
    divisors = np.where(scales == 0, np.float32(1), scales)
    return np.clip(np.rint(rows / divisors), -LARGEST, LARGEST).astype(np.int8), scales
