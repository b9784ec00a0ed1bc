"""Artifact folders: complete or absent, and made again when their source has changed."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import Manifest
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.errors import ArtifactError
from embed_onnx_export.checkpoint.sources import Checkpoint
from embed_onnx_export.errors import ExportError

RECIPE = 6
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
def staged(target: Path, *, waiting: Callable[[], None] = lambda: None) -> Iterator[Path]:
    """A new folder that takes the place of ``target`` when the block ends well with files in it.

    It lies in a folder beside the target, which one export at a time has locked and removes at the end;
    another waits for that, after a call of ``waiting``. What a killed export leaves there is removed by the
    next one, which first puts back the artifact that it may have set aside.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}-export")
    new, old = aside / "new", aside / "old"
    with _locked(aside, waiting):
        _put_back(old, target)
        for left in list(aside.iterdir()):
            shutil.rmtree(left, ignore_errors=True)
        try:
            new.mkdir()
            yield new
            if any(new.iterdir()):
                if target.exists():
                    target.rename(old)
                new.rename(target)
        finally:
            _put_back(old, target)
            shutil.rmtree(aside, ignore_errors=True)  # NFS keeps what is open; the next export tries again


def _put_back(old: Path, target: Path) -> None:
    """Undo the first half of a replacement whose second half did not come."""
    if old.exists() and not target.exists():
        old.rename(target)


@contextlib.contextmanager
def _locked(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of a folder, made if need be; the kernel unlocks it when a process is killed."""
    descriptor = _lock(folder, waiting)
    while not _is_at(descriptor, folder):  # removed by the one who had its lock
        os.close(descriptor)
        descriptor = _lock(folder, waiting)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(folder: Path, waiting: Callable[[], None]) -> int:
    """A descriptor of a folder that is locked, unless it was removed meanwhile: then of what it was.

    Raises:
        ExportError: It is a file or a link.
    """
    while True:
        with contextlib.suppress(FileExistsError):  # exist_ok would look again, and it may be gone by then
            folder.mkdir()
        with contextlib.suppress(FileNotFoundError):
            try:
                descriptor = os.open(folder, os.O_DIRECTORY | os.O_NOFOLLOW)
            except NotADirectoryError:
                raise ExportError(
                    f"{folder} is in the way of an export and is no folder; delete it"
                ) from None
            break
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting()
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _is_at(descriptor: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except FileNotFoundError:
        return False


def up_to_date(entry: Entry, checkpoint: Checkpoint, folder: Path) -> Manifest | None:
    """The manifest that is there, if an export would make the same again."""
    try:
        found = manifest.read(folder)
        manifest.verify(found, folder)
    except ArtifactError:
        return None
    same = found.source == checkpoint.source and found.recipe == RECIPE and found.precision == entry.precision
    return found if same else None
