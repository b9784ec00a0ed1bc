"""Weights as int8, rounded with regard to what they will be multiplied by (GPTQ).

Rounding to the nearest is best for each weight, and not for their products. Here the input channels are
rounded one after the other, and the error of one is taken off those that are not rounded yet, as far as they
vary with it. This makes the squares of the products' errors small, on average over the calibration's rows:

    trace(E^T C E),    E = weights - scale * integers,    C the covariance of the inputs

Source: Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers",
2022. The inputs' mean is not in C, because the bias can make up for it. The second of two neighbours is
rounded within what the first leaves of ``int8.LARGEST_PAIR``, and its error is passed on like any other.

Sums are of float64, so that the order in which a library adds them decides only about weights that lie within
1e-10 steps of a border.
"""

import numpy as np
from numpy.typing import NDArray

from embed_onnx_export.graph import int8
from embed_onnx_export.graph.int8 import Floats, Integers

Doubles = NDArray[np.float64]
DAMPING = 0.03
"""Of the mean variance, added to that of each channel: texts differ from those of the calibration."""
BLOCK = 64
"""So many channels are rounded before the others are corrected, by one product of matrices."""


def round_channels(weights: Floats, covariance: Doubles) -> tuple[Integers, Floats, Floats]:
    """Weights [inputs, channels] as ``int8.quantize_channels`` returns them, for inputs of this covariance.

    Of a covariance that is not finite, as broken weights give, the weights are rounded to the nearest.
    """
    if not np.isfinite(covariance).all():
        return int8.quantize_channels(weights)
    scales = int8.channel_scales(weights)
    divisors = np.where(scales == 0, np.float32(1), scales)
    return int8.with_sums(_round(weights.astype(np.float64) / divisors, _spread(covariance)), scales)


def _spread(covariance: Doubles) -> Doubles:
    """U, upper triangular with U^T U = C^-1: U_ij / U_ii of an error of input i is taken off input j."""
    damping = DAMPING * np.diagonal(covariance).mean() or 1.0
    damped = covariance + damping * np.eye(len(covariance))
    # C = R R^T, where R is Cholesky's factor of C in reverse order; U is R^-1.
    upper = np.linalg.cholesky(damped[::-1, ::-1])[::-1, ::-1]
    inverse: Doubles = np.triu(np.linalg.solve(upper, np.eye(len(upper))))
    return inverse


def _round(steps: Doubles, spread: Doubles) -> Integers:
    """Weights in steps, [inputs, channels], as integers; what is not rounded yet is changed in place."""
    values = np.empty(steps.shape, np.int8)
    for first in range(0, len(steps), BLOCK):
        end = min(first + BLOCK, len(steps))
        errors = np.empty((end - first, steps.shape[1]))
        for i in range(first, end):
            least, largest = _limits(values[i - 1] if i % 2 else None)
            values[i] = np.rint(np.clip(steps[i], least, largest))
            error = (steps[i] - values[i]) / spread[i, i]
            steps[i + 1 : end] -= np.outer(spread[i, i + 1 : end], error)
            errors[i - first] = error
        steps[end:] -= spread[first:end, end:].T @ errors
    return values


def _limits(neighbour: Integers | None) -> tuple[Doubles | int, Doubles | int]:
    """The least and the largest number beside each of a neighbour's, or without one."""
    if neighbour is None:
        return -int8.LARGEST, int8.LARGEST
    beside = neighbour.astype(np.float64)
    return (
        np.maximum(-int8.LARGEST, -int8.LARGEST_PAIR - beside),
        np.minimum(int8.LARGEST, int8.LARGEST_PAIR - beside),
    )
