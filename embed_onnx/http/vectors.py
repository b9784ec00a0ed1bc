"""Vectors as JSON, on any wire: lists of numbers, or base64."""

import asyncio
import base64
from typing import Literal

import msgspec
import numpy as np

from embed_onnx.engine.vectors import Vector

EncodingFormat = Literal["float", "base64"]
VECTORS_A_SLICE = 64
"""Vectors written as JSON in one go, about 2 ms of numbers; between slices the event loop has its turn."""


async def encode_all(vectors: Vector, encoding_format: EncodingFormat | None = None) -> list[msgspec.Raw]:
    """Each of some vectors [texts, dimensions] as JSON, without holding up the event loop."""
    encoded = []
    for index, vector in enumerate(vectors):
        if index % VECTORS_A_SLICE == VECTORS_A_SLICE - 1:
            await asyncio.sleep(0)
        encoded.append(encode(vector, encoding_format))
    return encoded


def encode(vector: np.ndarray, encoding_format: EncodingFormat | None = None) -> msgspec.Raw:
    """A float32 vector [dimensions] as JSON: numbers, or base64 of the little-endian bytes."""
    if encoding_format == "base64":
        return msgspec.Raw(b'"' + base64.b64encode(vector.astype("<f4", copy=False).tobytes()) + b'"')
    return msgspec.Raw(msgspec.json.encode(vector.tolist()))
