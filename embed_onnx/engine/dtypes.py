"""How the numbers of a vector are stored: float32, float16, int8, uint8 or bits; numpy alone.

The formulas are those of ``quantize_embeddings`` in Sentence-Transformers. int8 and uint8 have a range a
dimension. Vectors can be compared only if they have the same ranges, so queries take those of the documents.
"""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from embed_onnx.engine.vectors import Vector
from embed_onnx.errors import InvalidRequest

DType = Literal["float32", "float16", "int8", "uint8", "binary", "ubinary"]
NUMPY: dict[DType, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "int8": np.dtype("i1"),
    "uint8": np.dtype("u1"),
    "binary": np.dtype("i1"),
    "ubinary": np.dtype("u1"),
}
"""What a stored number is, little-endian; of ``binary`` and ``ubinary``, a byte is eight dimensions."""
RANGED: tuple[DType, ...] = ("int8", "uint8")
"""Those that take ranges."""
BITS: tuple[DType, ...] = ("binary", "ubinary")

Ranges = NDArray[np.float32]
"""[2, dimensions]: the least and the greatest value of each dimension."""
Stored = NDArray[Any]
"""[..., width(dtype, dimensions)]."""


def width(dtype: DType, dimensions: int) -> int:
    """Stored numbers of a vector."""
    return -(-dimensions // 8) if dtype in BITS else dimensions


def ranges(vectors: Vector) -> Ranges:
    """The ranges over vectors, float32 [rows, dimensions], of at least one row."""
    pair: Ranges = np.vstack([vectors.min(axis=0), vectors.max(axis=0)])
    return pair


def even_ranges(greatest: float, dimensions: int) -> Ranges:
    """Ranges of one step for all dimensions, so that int8 is the number times 127 / greatest, rounded.

    Products and cosines of such int8 vectors are near those of the vectors. With a step for each dimension,
    as ``ranges`` gives, dimensions of small numbers would weigh as much as others.
    """
    step = greatest / 127
    pair: Ranges = np.repeat(np.array([[-128.5 * step], [126.5 * step]], np.float32), dimensions, axis=1)
    return pair


def convert(vectors: Vector, dtype: DType, calibrated: Ranges | None = None) -> Stored:
    """Vectors, float32 [..., dimensions], as they are stored.

    int8 cuts a range into 255 steps, of which -128 is the first; what is outside of it is clipped. Without
    ``calibrated`` ranges, they are those of the vectors. A bit of ubinary is 1 where the number is above
    zero, the first dimension in the highest bit. uint8 is int8 plus 128, and binary is ubinary minus 128.

    Raises:
        InvalidRequest: The type is unknown, or the ranges do not fit it or the vectors.
    """
    if dtype not in NUMPY:
        known = ", ".join(get_args(DType))
        raise InvalidRequest(f"dtype {dtype!r} is unknown; it is one of {known}", param="dtype")
    if dtype in RANGED:
        steps = _steps(vectors, _own_ranges(vectors) if calibrated is None else _fitting(calibrated, vectors))
        return steps if dtype == "uint8" else _minus_128(steps)
    if calibrated is not None:
        raise InvalidRequest(
            f"ranges are for int8 and uint8, and dtype is {dtype}; leave them out", param="ranges"
        )
    if dtype in BITS:
        packed = np.packbits(vectors > 0, axis=-1)
        return packed if dtype == "ubinary" else _minus_128(packed)
    return vectors.astype(NUMPY[dtype], copy=False)


def _own_ranges(vectors: Vector) -> Ranges:
    if vectors.ndim == 1 or len(vectors) == 1:
        raise InvalidRequest(
            "one vector has no ranges of its own; give model.ranges(), or those of many from dtypes.ranges",
            param="ranges",
        )
    return ranges(vectors) if len(vectors) else np.zeros((2, vectors.shape[-1]), np.float32)


def _fitting(calibrated: Ranges, vectors: Vector) -> Ranges:
    pair, shape = np.asarray(calibrated, np.float32), (2, vectors.shape[-1])
    if pair.shape != shape:
        raise InvalidRequest(f"ranges are {list(pair.shape)} and must be {list(shape)}", param="ranges")
    return pair


def _steps(vectors: Vector, calibrated: Ranges) -> Stored:
    """uint8: the step of its range that each number lies in."""
    low, high = calibrated
    steps = (high - low) / 255
    steps = np.where(steps == 0, 1, steps)
    stored: Stored = np.clip(np.floor((vectors - low) / steps), 0, 255).astype(np.uint8)
    return stored


def _minus_128(unsigned: Stored) -> Stored:
    return (unsigned ^ 0x80).view(np.int8)
