"""Vectors as JSON, on any wire: lists of numbers or base64, in one of several types of numbers."""

import asyncio
import base64
from collections.abc import Iterable
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from embed_onnx.engine import dtypes
from embed_onnx.engine.dtypes import DType, Ranges
from embed_onnx.engine.vectors import Vector

EncodingFormat = Literal["float", "base64"]
Endianness = Literal["little", "big", "native"]
"""The order of a number's bytes in base64. ``native`` is little, as on all processors that this runs on."""
NumberType = Literal[DType, "bfloat16"]
"""What a number is on a wire: of ``binary`` and ``ubinary``, eight dimensions."""
MATRIX_SCHEMA = {
    "any_of": [
        {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        {"type": "string", "contentEncoding": "base64"},
    ]
}
"""Of a text's token vectors."""
VECTORS_A_SLICE = 64
"""Vectors written as JSON in one go, about 2 ms of numbers; between slices the event loop has its turn."""


class WireType(msgspec.Struct, frozen=True):
    """How vectors are sent: as lists of such numbers, or as base64 of their bytes."""

    numbers: NumberType = "float32"
    base64: bool = False
    big_endian: bool = False
    """Of base64."""

    @property
    def ranged(self) -> bool:
        """Whether it takes the ranges of a model."""
        return self.numbers in dtypes.RANGED


FLOATS = WireType()


async def encode_all(
    vectors: Vector, wire_type: WireType = FLOATS, ranges: Ranges | None = None
) -> list[msgspec.Raw]:
    """Each of some vectors [texts, dimensions] as JSON, without holding up the event loop.

    ``ranges`` are those of the model, for the types that take them.
    """
    encoded: list[msgspec.Raw] = []
    for first in range(0, len(vectors), VECTORS_A_SLICE):
        if first:
            await asyncio.sleep(0)
        encoded += encode(vectors[first : first + VECTORS_A_SLICE], wire_type, ranges)
    return encoded


async def encode_by_token(matrices: Iterable[Vector], wire_type: WireType = FLOATS) -> list[msgspec.Raw]:
    """Each of some texts' token vectors [vectors, dimensions] as JSON, without holding up the event loop.

    In base64, the bytes of one vector follow those of another.
    """
    encoded: list[msgspec.Raw] = []
    for matrix in matrices:
        await asyncio.sleep(0)
        if wire_type.base64:
            encoded += encode(matrix.reshape(1, -1), wire_type)
        else:
            rows = await encode_all(matrix, wire_type)
            encoded.append(msgspec.Raw(b"[" + b",".join(map(bytes, rows)) + b"]"))
    return encoded


async def encode_values(values: Iterable[Any]) -> list[msgspec.Raw]:
    """Each of some values as JSON, without holding up the event loop."""
    encoded: list[msgspec.Raw] = []
    for place, value in enumerate(values, start=1):
        if place % VECTORS_A_SLICE == 0:
            await asyncio.sleep(0)
        encoded.append(msgspec.Raw(msgspec.json.encode(value)))
    return encoded


def encode(vectors: Vector, wire_type: WireType = FLOATS, ranges: Ranges | None = None) -> list[msgspec.Raw]:
    """Each of a few vectors [texts, dimensions] as JSON."""
    numbers = wire_type.numbers
    if numbers == "bfloat16":
        bits = _bfloat16(vectors)
        rows = bits if wire_type.base64 else _float32(bits)
    else:
        rows = dtypes.convert(vectors, numbers, ranges if wire_type.ranged else None)
    if wire_type.base64:
        kind = rows.dtype.newbyteorder(">" if wire_type.big_endian else "<")
        return [_base64(row) for row in rows.astype(kind, copy=False)]
    return [msgspec.Raw(msgspec.json.encode(row.tolist())) for row in rows]


def _base64(row: NDArray[Any]) -> msgspec.Raw:
    """The bytes of an array, which has the type that is sent."""
    return msgspec.Raw(b'"' + base64.b64encode(row.tobytes()) + b'"')


def _bfloat16(vectors: Vector) -> NDArray[np.uint16]:
    """The upper halves of float32, rounded to the nearest, or of two as near to the even one."""
    bits = vectors.view(np.uint32)
    halves: NDArray[np.uint16] = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    return halves


def _float32(bfloat16: NDArray[np.uint16]) -> Vector:
    """The numbers that such halves stand for."""
    return (bfloat16.astype(np.uint32) << 16).view(np.float32)
