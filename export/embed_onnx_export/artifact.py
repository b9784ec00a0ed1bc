"""Artifact folders: complete or absent, and made again when their source has changed."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from embed_onnx import files
from embed_onnx.artifact import manifest, place, ranges
from embed_onnx.artifact.manifest import RANGES, Calibration, Manifest
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.artifact.outputs import Dense
from embed_onnx.errors import ArtifactError
from embed_onnx_export.checkpoint.sources import Checkpoint
from embed_onnx_export.errors import ExportError

RECIPE = 12
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
    if fault := place.fault(target):
        raise ExportError(f"{fault}; {way_out}")


@contextlib.contextmanager
def staged(target: Path, *, waiting: Callable[[], None] = lambda: None) -> Iterator[Path]:
    """A new folder that takes the place of ``target`` when the block ends without an error and filled it.

    It lies in a folder beside the target. One export at a time works there; another one calls ``waiting``
    and waits for it.

    Raises:
        ExportError: The folder beside the target is a file or a link.
    """
    workspace = place.workspace(target)
    if workspace.is_symlink() or workspace.is_file():
        raise ExportError(f"{workspace} is in the way of an export and is not a folder; delete it")
    with files.replacing_folder(target, workspace, busy=waiting) as new:
        yield new


def up_to_date(
    entry: Entry, checkpoint: Checkpoint, folder: Path, calibration: Calibration | None = None
) -> Manifest | None:
    """The manifest that is there, if an export would make the same again.

    ``calibration`` is of the texts that a user names; without them, any will do.
    """
    try:
        present = manifest.read(folder)
        manifest.verify(present, folder)
    except ArtifactError:
        return None
    same = present.source == checkpoint.source and present.recipe == RECIPE and entry.has_options_of(present)
    calibrated = _is_calibrated(present, calibration) and _has_ranges(present, folder, calibration)
    return present if same and calibrated else None


def _is_calibrated(present: Manifest, calibration: Calibration | None) -> bool:
    """Whether an artifact was made on these texts, or its model is not calibrated at all."""
    used = None if present.quantization is None else present.quantization.calibration
    return calibration is None or not present.packed or used == calibration


def _has_ranges(present: Manifest, folder: Path, calibration: Calibration | None) -> bool:
    """Whether an artifact of vectors has the ranges of these texts; those of older versions have none."""
    if not isinstance(present.output, Dense):
        return True
    if RANGES not in present.sha256:
        return False
    return calibration is None or ranges.read(folder).calibration == calibration
