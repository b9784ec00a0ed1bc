"""Vectors: their length made 1, and their cut to fewer dimensions; numpy in float32."""

from typing import Any

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
    norms: Any = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))[..., None]
    unit: Vector = vectors / np.maximum(norms, EPSILON)
    return unit


def unit(vectors: Vector) -> Vector:
    """Each vector (last axis) normalised; one of length 1 is left as it is, to the bit."""
    norms: Any = np.linalg.norm(vectors, axis=-1, keepdims=True)
    units: Vector = np.where(np.abs(norms - 1) < ROUNDING, vectors, normalize(vectors))
    return units


def cut(vectors: Vector, dimensions: int, *, renormalize: bool) -> Vector:
    """The first ``dimensions`` numbers of each vector, normalised again if asked."""
    shorter = vectors[..., :dimensions]
    return normalize(shorter) if renormalize else shorter
