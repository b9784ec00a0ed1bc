"""Factors a channel that make the channels of what is quantised more alike.

The step of a row is a part of its range, so that one large channel costs all others of the row their
precision. Channels are multiplied or divided by factors before that, and the other way round after it. The
geometric mean of factors is 1.
"""

import numpy as np
from numpy.typing import NDArray

from embed_onnx_export.graph.int8 import Floats

PRODUCT_EXPONENT = 0.6
"""How much of an input's range is moved into the weights; of 0.3 to 0.7 the best for most texts."""
TABLE_EXPONENT = 0.75
"""How much alike columns become: of 0.5, 0.75 and 1, the best for runs of one token."""
LARGEST_FACTOR = np.float32(64)
"""And 1 / 64 is the least: a channel that is nearly 0 in all samples may not be so in another text."""


def of_product(inputs: Floats, weights: Floats) -> Floats:
    """What each input channel of a product is multiplied by, of both sides' largest magnitudes, [inputs].

    Source: Xiao et al., "SmoothQuant", 2022.
    """
    used = _usable(weights) & _usable(inputs)
    return _factors(
        used, (1 - PRODUCT_EXPONENT) * _logs(weights, used) - PRODUCT_EXPONENT * _logs(inputs, used)
    )


def of_table(table: Floats) -> Floats:
    """What each column of a table [rows, width] is divided by before its rows are quantised."""
    largest = np.abs(table).max(axis=0, initial=0)
    used = _usable(largest)
    return _factors(used, TABLE_EXPONENT * _logs(largest, used))


def _usable(magnitudes: Floats) -> NDArray[np.bool_]:
    return (magnitudes > 0) & np.isfinite(magnitudes)


def _logs(magnitudes: Floats, used: NDArray[np.bool_]) -> Floats:
    """Those of the channels that are used; 0 for the others."""
    return np.log(magnitudes, out=np.zeros_like(magnitudes), where=used)


def _factors(used: NDArray[np.bool_], logs: Floats) -> Floats:
    """Factors of these logarithms; 1 where a channel is not used."""
    mean = logs[used].mean() if used.any() else np.float32(0)
    factors: Floats = np.exp(np.where(used, logs - mean, 0))
    return np.clip(factors, 1 / LARGEST_FACTOR, LARGEST_FACTOR)
