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
from export.errors import ExportError
from export.sources import Checkpoint

RECIPE = 2
"""Raised by one when the same checkpoint would give another artifact."""


def check_target(entry: Entry, target: Path) -> None:
    """Make sure that what an export replaces is an artifact, and never the checkpoint itself.

    Raises:
        ExportError: Something else is there.
    """
    way_out = "move it away, or choose another name= or --artifacts"
    resolved, source = target.resolve(), entry.folder
    if source is not None and (resolved.is_relative_to(source) or source.is_relative_to(resolved)):
        raise ExportError(f"the artifact would lie at {target}, over its own checkpoint; {way_out}")
    if target.exists() and not (target / manifest.MANIFEST).is_file():
        raise ExportError(f"{target} is there and is no artifact; {way_out}")
    inside = next((folder for folder in target.parents if (folder / manifest.MANIFEST).exists()), None)
    if inside is not None:
        raise ExportError(f"{target} lies inside the artifact {inside}; {way_out}")


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
