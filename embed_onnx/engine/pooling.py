"""From token states to a vector: pooling, normalisation, and the cut to fewer dimensions.

numpy in float32, over the states of one sequence, [tokens, width]. There is no padding, so there
is no mask either. The formulas are those of Sentence-Transformers' ``Pooling`` and ``Normalize``.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embed_onnx.artifact.manifest import PoolingMode

Vector = NDArray[np.float32]
"""[dimensions], or [texts, dimensions]."""
States = NDArray[np.float32]
"""[tokens, width]; at least one token."""

EPSILON = np.float32(1e-12)
"""The smallest norm divided by, as in ``torch.nn.functional.normalize``."""
ROUNDING = 1e-5
"""How far from 1 the length of a float32 vector may be that was normalised."""


def mean(states: States) -> Vector:
    """The mean over tokens."""
    return _sum(states) / np.float32(len(states))


def mean_sqrt_len_tokens(states: States) -> Vector:
    """The sum over tokens, divided by the square root of their number."""
    return _sum(states) / np.float32(math.sqrt(len(states)))


def weightedmean(states: States, skipped: int = 0) -> Vector:
    """The mean over tokens, where the n-th token of the sequence weighs n; the first is after ``skipped``."""
    weights = np.arange(skipped + 1, skipped + len(states) + 1, dtype=np.float32)
    weighted: Vector = weights @ states
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


def normalize(vectors: Vector) -> Vector:
    """Each vector (last axis) divided by its Euclidean norm; a zero vector stays zero."""
    norms: Any = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))[..., None]
    unit: Vector = vectors / np.maximum(norms, EPSILON)
    return unit


def unit(vectors: Vector) -> Vector:
    """Each vector (last axis) normalised; one of length 1 is left as it is, to the bit."""
    norms: Any = np.linalg.norm(vectors, axis=-1, keepdims=True)
    found: Vector = np.where(np.abs(norms - 1) < ROUNDING, vectors, normalize(vectors))
    return found


def cut(vectors: Vector, dimensions: int, *, renormalize: bool) -> Vector:
    """The first ``dimensions`` numbers of each vector, normalised again where the model does so."""
    shorter = vectors[..., :dimensions]
    return normalize(shorter) if renormalize else shorter
