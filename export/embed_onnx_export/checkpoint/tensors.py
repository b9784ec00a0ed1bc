"""The tensors of safetensors files as numpy arrays, read without a framework.

A file is eight bytes with the length of its header, the header in JSON, and the tensors, whose places count
from the header's end. Floating-point tensors of any width become float32, as transformers loads them here.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from embed_onnx_export.errors import ExportError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
METADATA = "__metadata__"
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?"}
"""Of numpy, by the names of the format."""
BFLOAT16 = "BF16"
"""The upper half of a float32, which numpy does not have."""

Tensors = dict[str, NDArray[Any]]


class Index(msgspec.Struct):
    """model.safetensors.index.json: the file of each tensor."""

    weight_map: dict[str, str]


def read(folder: Path) -> Tensors:
    """The tensors of a module by name: of model.safetensors, or of the shards that its index names.

    Raises:
        ExportError: One has a type that is not read.
    """
    files = [SINGLE]
    if not (folder / SINGLE).is_file():
        index = msgspec.json.decode((folder / INDEX).read_bytes(), type=Index)
        files = sorted(set(index.weight_map.values()))
    return {name: tensor for file in files for name, tensor in _tensors(folder / file)}


def _tensors(path: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """The tensors of one file, whose pages are read as they are needed."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header: dict[str, Any] = json.loads(file.read(length))
    raw = np.memmap(path, np.uint8, "r")[8 + length :]
    for name, described in header.items():
        if name == METADATA:
            continue
        start, end = described["data_offsets"]
        try:
            yield name, _array(raw[start:end], described["dtype"]).reshape(described["shape"])
        except KeyError:
            raise ExportError(
                f"{path} has {name} as {described['dtype']}; read are {', '.join((*DTYPES, BFLOAT16))}: save "
                "the model in one of them"
            ) from None


def _array(raw: NDArray[np.uint8], dtype: str) -> NDArray[Any]:
    if dtype == BFLOAT16:
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    array: NDArray[Any] = raw.view(DTYPES[dtype])
    return array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array
