"""Vectors: their length made 1, and their cut to fewer dimensions; numpy in float32.

Bits must not depend on the build of numpy: the order of its own sums follows the processor's vectors.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
"""[dimensions], or [texts, dimensions]."""

EPSILON = np.float32(1e-12)
"""The smallest norm divided by, as in ``torch.nn.functional.normalize``."""
ROUNDING = 1e-5
"""How far from 1 the length of a float32 vector may be that was normalised."""


def normalize(vectors: Vector) -> Vector:
    """Each vector (last axis) divided by its Euclidean norm, as ``Normalize`` of Sentence-Transformers does.

    A zero vector stays zero.
    """
    units: Vector = np.divide(vectors, np.maximum(_norms(vectors), EPSILON))
    return units


def unit(vectors: Vector) -> Vector:
    """Each vector (last axis) normalised; one of length 1 is left as it is, to the bit."""
    units: Vector = np.where(np.abs(_norms(vectors) - 1) < ROUNDING, vectors, normalize(vectors))
    return units


def cut(vectors: Vector, dimensions: int, *, renormalize: bool) -> Vector:
    """The first ``dimensions`` numbers of each vector, normalised again with ``renormalize``."""
    shorter = vectors[..., :dimensions]
    return normalize(shorter) if renormalize else shorter


def weighted_mean(vectors: Vector, weights: Sequence[int]) -> Vector:
    """The mean [dimensions] of vectors [n, dimensions], each of which counts by its weight.

    Added one after the other, for the same reason.
    """
    total = np.zeros(vectors.shape[-1], np.float64)
    for vector, weight in zip(vectors.astype(np.float64), weights, strict=True):
        total += weight * vector
    mean: Vector = (total / sum(weights)).astype(np.float32)
    return mean


def _norms(vectors: Vector) -> Vector:
    """[..., 1]. ``accumulate`` adds one number after the other, in an order that is thus defined."""
    squares = np.square(vectors.astype(np.float64))
    norms: Vector = np.sqrt(np.add.accumulate(squares, axis=-1)[..., -1:]).astype(np.float32)
    return norms
