"""What the readers of bulk files make of a small file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from embed_onnx.bulk import inputs, readers
from embed_onnx.bulk.blocks import Block, Position
from embed_onnx.errors import SetupError


def blocks(path: Path, **columns: Any) -> Iterator[Block]:
    result = inputs.find([str(path)], columns.pop("kind", None), **columns)
    readers.check(result)
    return readers.blocks(result, Position())


def texts(path: Path, **columns: Any) -> list[str]:
    return [text for block in blocks(path, **columns) for text in block.texts]


def reasons(path: Path, **columns: Any) -> list[tuple[int, str]]:
    return [(reject.line, reject.reason) for block in blocks(path, **columns) for reject in block.rejects]


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(path: Path, **columns: Any) -> str:
    with pytest.raises(SetupError) as caught:
        texts(path, **columns)
    return str(caught.value)
