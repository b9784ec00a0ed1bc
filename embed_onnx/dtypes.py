"""How the numbers of a vector are stored: float32, float16, int8 or bits.

The formulas are those of ``quantize_embeddings`` in Sentence-Transformers.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from embed_onnx.pooling import Vector

DType = Literal["float32", "float16", "int8", "ubinary"]
NUMPY: dict[DType, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "int8": np.dtype("i1"),
    "ubinary": np.dtype("u1"),
}
"""What a stored number is, little-endian; of ``ubinary``, a byte is eight dimensions."""

Ranges = NDArray[np.float32]
"""[2, dimensions]: the least and the greatest value of each dimension."""
Stored = NDArray[Any]
"""[rows, width(dtype, dimensions)]."""


def width(dtype: DType, dimensions: int) -> int:
    """Stored numbers of a vector."""
    return -(-dimensions // 8) if dtype == "ubinary" else dimensions


def ranges(vectors: Vector) -> Ranges:
    """The ranges over vectors, float32 [rows, dimensions], of at least one row."""
    found: Ranges = np.vstack([vectors.min(axis=0), vectors.max(axis=0)])
    return found


def convert(vectors: Vector, dtype: DType, calibrated: Ranges | None = None) -> Stored:
    """Vectors, float32 [rows, dimensions], as they are stored; ``int8`` takes ranges.

    int8 cuts a range into 255 steps, of which -128 is the first; what is outside of it is clipped. A bit
    of ubinary is 1 where the number is above zero, the first dimension in the highest bit.
    """
    if dtype == "ubinary":
        return np.packbits(vectors > 0, axis=-1)
    if dtype != "int8":
        return vectors.astype(NUMPY[dtype], copy=False)
    if calibrated is None:
        raise ValueError("int8 takes ranges")
    low, high = calibrated
    steps = (high - low) / 255
    steps = np.where(steps == 0, 1, steps)
    stored: Stored = (np.clip(np.floor((vectors - low) / steps), 0, 255) - 128).astype(np.int8)
    return stored
