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
    scales = channel_scales(weights)
    return with_sums(_rounded(weights, scales), scales)


def channel_scales(weights: Floats) -> Floats:
    """The scales at which neither a weight nor a pair of neighbours exceeds its limit, [channels]."""
    channels = np.ascontiguousarray(weights.T)
    pairs = channels[:, :-1:2] + channels[:, 1::2]
    return _scales(np.maximum(_largest(channels), _largest(pairs)))[:, 0]


def with_sums(values: Integers, scales: Floats) -> tuple[Integers, Floats, Floats]:
    """Integers [width, channels] and scales, with the sums of scaled integers."""
    return values, scales, scales * values.sum(axis=0, dtype=np.int32).astype(np.float32)


def quantize_rows(table: Floats) -> tuple[Integers, Floats]:
    """A table [rows, width] as int8, and one scale a row, [rows, 1]; a row of zeros has scale 0."""
    scales = _scales(_largest(table))
    return _rounded(table, scales), scales


def _largest(rows: Floats) -> Floats:
    """The largest magnitude of each row, [rows, 1]; 0 of an empty one."""
    magnitudes: Floats = np.abs(rows).max(axis=1, keepdims=True, initial=0)
    return magnitudes


def _scales(magnitudes: Floats) -> Floats:
    """Steps of a 127th of magnitudes."""
    return (magnitudes / np.float32(LARGEST)).astype(np.float32)


def _rounded(values: Floats, scales: Floats) -> Integers:
    """Values as whole steps."""
    divisors = np.where(scales == 0, np.float32(1), scales)
    return np.clip(np.rint(values / divisors), -LARGEST, LARGEST).astype(np.int8)
