"""Files and folders that are complete or absent, and locks that end with their process."""

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO


def replace(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write a file in one step: readers see the old content or the new, even after a loss of power.

    A file that exists keeps its owner and its mode; a new one has ``mode``, less the umask of the process.

    Raises:
        OSError: It cannot be written; the old file is as it was.
    """
    unfinished = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if path.exists():
                old = path.stat()
                os.fchown(descriptor, old.st_uid, old.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
            file.write(content)
            sync(file)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def real(path: Path) -> Path:
    """The absolute path behind links, whether or not anything is there.

    For links in a circle, ``Path.resolve`` raises a RuntimeError up to Python 3.12 and nothing later.

    Raises:
        OSError: Its links go in a circle.
    """
    try:
        return Path(os.path.realpath(path, strict=True))
    except OSError as err:
        if err.errno == errno.ELOOP:
            raise
        return Path(os.path.realpath(path))


def sync(file: IO[bytes]) -> None:
    """Return once what was written to a file is on the disk.

    Raises:
        OSError: The disk is full or failed.
    """
    file.flush()
    os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Return once the names of a folder's files are on the disk.

    Raises:
        OSError: The disk failed.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, *, busy: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock of a file or folder that exists; the kernel releases it when a process is killed.

    Where another process or thread holds it, this calls ``busy``, which may raise, and then waits.

    Raises:
        OSError: The path is absent, or may not be opened.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _lock(descriptor, busy)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacing_folder(
    target: Path, workspace: Path, *, busy: Callable[[], None] = lambda: None
) -> Iterator[Path]:
    """A new folder, which takes the place of ``target`` when the block ends without an error and filled it.

    It lies in ``workspace``, a folder beside the target. One process at a time holds the lock of that, and
    removes it at the end; another one calls ``busy`` and waits. What a killed process leaves there is removed
    by the next one, which first puts back the target that had been moved there.

    Raises:
        OSError: The workspace is not a folder, or something cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    new, old = workspace / "new", workspace / "old"
    with _locked_workspace(workspace, busy):
        _put_back(old, target)
        for leftover in list(workspace.iterdir()):
            shutil.rmtree(leftover, ignore_errors=True)
        try:
            new.mkdir()
            yield new
            if any(new.iterdir()):
                if target.exists():
                    target.rename(old)
                new.rename(target)
        finally:
            _put_back(old, target)
            shutil.rmtree(workspace, ignore_errors=True)  # NFS keeps open files; the next process tries again


def _put_back(old: Path, target: Path) -> None:
    """Undo the first half of a replacement whose second half did not happen."""
    if old.exists() and not target.exists():
        old.rename(target)


@contextlib.contextmanager
def _locked_workspace(folder: Path, busy: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of a folder, which is made if need be, and which its last holder may have removed."""
    descriptor = _open_workspace(folder)
    try:
        _lock(descriptor, busy)
        while not _is_at(descriptor, folder):
            os.close(descriptor)
            descriptor = _open_workspace(folder)
            _lock(descriptor, busy)
        yield
    finally:
        os.close(descriptor)


def _open_workspace(folder: Path) -> int:
    while True:
        with contextlib.suppress(FileExistsError):  # exist_ok would look again, and it may be gone by then
            folder.mkdir()
        with contextlib.suppress(FileNotFoundError):
            return os.open(folder, os.O_DIRECTORY | os.O_NOFOLLOW)


def _lock(descriptor: int, busy: Callable[[], None]) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        busy()
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _is_at(descriptor: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except FileNotFoundError:
        return False
