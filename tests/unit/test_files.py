"""Files that are complete or absent, and locks; folders are tested with the export that fills them."""

import os
import stat
import threading
from pathlib import Path

import pytest

from embed_onnx import files


def test_a_new_file_has_the_mode_that_is_left_by_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.replace(tmp_path / "open", b"1")
        files.replace(tmp_path / "secret", b"2", mode=0o600)
    finally:
        os.umask(before)

    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("open", "secret")]
    assert [0o640, 0o600] == modes
    assert b"1" == (tmp_path / "open").read_bytes()


def test_a_file_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o604)

    files.replace(path, b"new", mode=0o600)

    assert (b"new", 0o604) == (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    """Neither a full disk nor an interrupt costs the old file, or leaves another beside it."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(_: int) -> None:
        raise failure

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(failure)):
        files.replace(path, b"new")

    assert b"old" == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_writers_at_the_same_time_do_not_mix(tmp_path: Path) -> None:
    """Readers see what one of them wrote, whole, whenever they look."""
    path = tmp_path / "file"
    contents = [bytes([number]) * 100_000 for number in range(8)]
    files.replace(path, contents[0])
    threads = [threading.Thread(target=files.replace, args=(path, content)) for content in contents]
    for thread in threads:
        thread.start()
    seen = {path.read_bytes() for _ in range(50)}
    for thread in threads:
        thread.join()

    assert seen <= set(contents)
    assert [path] == list(tmp_path.iterdir())


def test_a_lock_is_waited_for_after_a_call(tmp_path: Path) -> None:
    """The second holder's ``busy`` is called, and then it waits until the first one is done."""
    events: list[str] = []
    busy = threading.Event()

    def second() -> None:
        with files.locked(tmp_path, busy=busy.set):
            events.append("second")

    with files.locked(tmp_path, busy=lambda: events.append("never")):
        thread = threading.Thread(target=second)
        thread.start()
        assert busy.wait(10)
        events.append("first")
    thread.join()

    assert ["first", "second"] == events


def test_a_lock_that_is_not_waited_for(tmp_path: Path) -> None:
    """What ``busy`` raises ends the attempt, and the lock stays with its holder."""

    def refuse() -> None:
        raise BlockingIOError("in use")

    with files.locked(tmp_path):
        for _ in range(2):
            with pytest.raises(BlockingIOError, match="in use"), files.locked(tmp_path, busy=refuse):
                pass
    with files.locked(tmp_path, busy=refuse):
        pass
