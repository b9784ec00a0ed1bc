"""Artifact folders: complete or absent, and made again when their source has changed."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from embed_onnx import manifest
from embed_onnx.errors import ArtifactError
from embed_onnx.manifest import Manifest
from embed_onnx.models_file import Entry
from export.sources import Checkpoint

RECIPE = 1
"""Raised by one when the same checkpoint would give another artifact."""


@contextlib.contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A new folder that takes the place of ``target`` when the block ends well, and goes otherwise."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        new, old = aside / "new", aside / "old"
        new.mkdir()
        yield new
        if target.exists():
            target.rename(old)
        new.rename(target)
    finally:
        shutil.rmtree(aside)


def up_to_date(entry: Entry, checkpoint: Checkpoint, folder: Path) -> Manifest | None:
    """The manifest that is there, if an export would make the same again."""
    try:
        found = manifest.read(folder)
        manifest.verify(found, folder)
    except ArtifactError:
        return None
    same = found.source == checkpoint.source and found.recipe == RECIPE and found.precision == entry.precision
    return found if same else None
