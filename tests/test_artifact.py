"""Artifacts are complete or absent, whatever happens to the export that makes them."""

import fcntl
import os
import resource
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import stacks
from harness import PROGRAM, clean_environment, until

from embed_onnx import manifest
from export import artifact


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A models.txt and the checkpoint that it lists, which takes moments to export."""
    stacks.save(tmp_path / "static", [stacks.static()])
    (tmp_path / "models.txt").write_text("./static name=team/static\n")
    return tmp_path


def start(folder: Path, *arguments: str, before: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, "export", *arguments],
        cwd=folder,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
    )


def inside(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "artifacts" / "team").iterdir())


def test_an_export_that_is_killed(folder: Path) -> None:
    """It leaves no artifact, and nothing that the next export would not remove."""
    aside = folder / "artifacts" / "team" / ".static-export"
    target = folder / "artifacts" / "team" / "static"

    killed = start(folder)
    until(lambda: (aside / "new" / "model.onnx").exists())
    killed.kill()
    killed.communicate()
    left = inside(folder)
    again = start(folder)
    _, error = again.communicate()

    assert (-signal.SIGKILL, [".static-export"]) == (killed.returncode, left)
    assert 0 == again.returncode, error
    assert ["static"] == inside(folder)
    manifest.verify(manifest.read(target), target)


def test_an_artifact_outlives_the_export_that_would_replace_it(folder: Path) -> None:
    """Killed before the end, or between setting the old one aside and putting the new one there."""
    target = folder / "artifacts" / "team" / "static"
    aside = target.with_name(".static-export")
    start(folder).communicate()
    before = manifest.read(target)

    killed = start(folder, "--force")
    until(lambda: (aside / "new" / "model.onnx").exists())
    killed.kill()
    killed.communicate()
    kept = manifest.read(target)
    target.rename(aside / "old")
    with pytest.raises(OSError, match="disk is full"), artifact.staged(target) as new:
        (new / "half").touch()
        raise OSError("disk is full")

    assert before == kept == manifest.read(target)
    assert ["static"] == inside(folder)


def test_two_exports_of_a_model_take_turns(folder: Path) -> None:
    """The second waits for the first, and finds its work done."""
    aside = folder / "artifacts" / "team" / ".static-export"
    aside.mkdir(parents=True)
    lock = os.open(aside, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    both = [start(folder), start(folder)]
    for process in both:
        assert process.stderr is not None
        until(lambda process=process: "waiting" in process.stderr.readline())
    os.close(lock)

    ends = [process.communicate() for process in both]

    assert [0, 0] == [process.returncode for process in both], ends
    assert 1 == sum("up to date" in output for output, _ in ends)
    assert ["static"] == inside(folder)


def test_a_lock_of_a_folder_that_is_gone_is_no_lock(tmp_path: Path) -> None:
    """Its holder removes it at the end; of those who waited for it, one has the next."""
    target = tmp_path / "model"
    at_work, worst = [], []

    def export(number: int) -> None:
        with artifact.staged(target) as new:
            at_work.append(number)
            worst.append(len(at_work))
            (new / "file").write_text(str(number))
            at_work.remove(number)

    threads = [threading.Thread(target=export, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [1] * 12 == worst
    assert [target] == list(tmp_path.iterdir())


def test_a_full_disk(folder: Path) -> None:
    """The kernel refuses to write more; the sentence says so, and nothing is left."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    process = start(folder, before=limit)
    _, error = process.communicate()

    assert 1 == process.returncode
    assert "team/static cannot be written to" in error
    assert "Traceback" not in error
    assert [] == inside(folder)
