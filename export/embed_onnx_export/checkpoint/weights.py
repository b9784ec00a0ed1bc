"""Safetensors files in the form in which transformers reads them.

It takes a file whose metadata is absent or names a framework, and refuses one whose metadata is there and
does not, as other programs write it. The tensors are the same.
"""

import contextlib
import json
import shutil
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors

from embed_onnx_export.checkpoint import mirror

FRAMEWORKS = ("pt", "tf", "flax", "mlx")
"""The values of ``format`` that transformers knows."""
METADATA = "__metadata__"
ALIGNMENT = 8
"""Of the length of a header in bytes."""


@contextlib.contextmanager
def readable(folder: Path) -> Iterator[Path]:
    """A folder of a checkpoint that transformers reads, for as long as the model is loaded.

    It is the same one, or a temporary one of links, with copies of the files that need another header.
    """
    files = [path for path in folder.rglob("*.safetensors") if path.is_file() and _lacks_format(path)]
    if not files:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="embed-onnx-weights-") as scratch:
        linked = Path(scratch) / folder.name
        mirror.link_files(folder, linked)
        for path in files:
            target = linked / path.relative_to(folder)
            target.unlink()
            _copy_with_format(path, target)
        yield linked


def _lacks_format(path: Path) -> bool:
    try:
        with safetensors.safe_open(path, "np") as file:
            metadata: dict[str, str] | None = file.metadata()
    except Exception:  # whatever the library raises: a damaged file, which is refused by its name elsewhere
        return False
    return metadata is not None and metadata.get("format") not in FRAMEWORKS


def _copy_with_format(path: Path, target: Path) -> None:
    """Eight bytes with the header's length, the header, and the tensors, whose places count from its end."""
    with path.open("rb") as old, target.open("wb") as new:
        (length,) = struct.unpack("<Q", old.read(8))
        header: dict[str, Any] = json.loads(old.read(length))
        header[METADATA] = header[METADATA] | {"format": "pt"}
        raw = json.dumps(header, separators=(",", ":")).encode()
        raw += b" " * (-len(raw) % ALIGNMENT)
        new.write(struct.pack("<Q", len(raw)) + raw)
        shutil.copyfileobj(old, new)
