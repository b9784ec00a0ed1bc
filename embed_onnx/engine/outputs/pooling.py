"""From the states of one sequence, [tokens, width], to a vector, [width] for each mode; numpy in float32.

There is no padding, so there is no mask either. The formulas are those of Sentence-Transformers' ``Pooling``.
Sums run over tokens, one after the other, in float32: numpy then adds whole rows in their order, whatever its
build. A product of a vector and a matrix would leave the order to a library.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from embed_onnx.artifact.outputs import PoolingMode
from embed_onnx.engine.outputs.finish import States
from embed_onnx.engine.vectors import Vector


def mean(states: States) -> Vector:
    """The mean over tokens."""
    return _sum(states) / np.float32(len(states))


def mean_sqrt_len_tokens(states: States) -> Vector:
    """The sum over tokens, divided by the square root of their number."""
    return _sum(states) / np.float32(math.sqrt(len(states)))


def weightedmean(states: States, skipped: int = 0) -> Vector:
    """The mean over tokens, where the n-th token of the sequence weighs n; the first is after ``skipped``."""
    weights = np.arange(skipped + 1, skipped + len(states) + 1)
    weighted = _sum(weights.astype(np.float32)[:, None] * states)
    return weighted / np.float32(weights.sum())


def _sum(states: States) -> Vector:
    total: Vector = np.add.reduce(states, axis=0)
    return total


POOLING: dict[PoolingMode, Callable[[States, int], Vector]] = {
    "mean": lambda states, _: mean(states),
    "cls": lambda states, _: states[0],
    "max": lambda states, _: states.max(axis=0),
    "lasttoken": lambda states, _: states[-1],
    "mean_sqrt_len_tokens": lambda states, _: mean_sqrt_len_tokens(states),
    "weightedmean": weightedmean,
}
"""From the states that are pooled, and how many of their sequence were skipped before them."""


def pool(states: States, modes: Sequence[PoolingMode], *, skipped: int = 0) -> Vector:
    """One vector for a sequence without its first ``skipped`` tokens; several modes follow one another."""
    kept = states[skipped:]
    return np.concatenate([POOLING[mode](kept, skipped) for mode in modes])
