"""Artifacts are complete or absent, whatever happens to the export that makes them."""

import errno
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import small_models
import stacks
from harness import clean_environment, until

from embed_onnx.artifact import manifest
from embed_onnx.artifact.models_txt import Entry
from embed_onnx_export import artifact, build
from embed_onnx_export.checkpoint import sources
from embed_onnx_export.errors import ExportError
from embed_onnx_export.run import export_all

EXPORT = """
import sys, time
from pathlib import Path
from embed_onnx_export import artifact
with artifact.staged(Path(sys.argv[1]), waiting=lambda: print("waiting", flush=True)) as new:
    (new / "model.onnx").write_bytes(b"half")
    print("at work", flush=True)
    sys.stdin.read()
"""
"""Another process at an export, until its standard input ends."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stacks.save(tmp_path_factory.mktemp("checkpoint") / "static", [stacks.static()])


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "bert"
    stacks.transformer(folder)
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "artifacts" / "team" / "static"


def export(checkpoint: Path, target: Path, *, force: bool = False) -> None:
    entry = Entry(name="team/static", repo="static", folder=checkpoint)
    export_all([entry], target.parent.parent, force=force)


def other(target: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", EXPORT, str(target)],
        env=clean_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def kill_at_work(target: Path) -> int:
    """Start an export in another process, and kill it in the middle."""
    with other(target) as process:
        assert process.stdout is not None
        assert "at work\n" == process.stdout.readline()
        process.kill()
    return process.returncode


def inside(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def test_an_export_that_is_killed(checkpoint: Path, target: Path) -> None:
    """It leaves no artifact, and nothing that the next export would not remove."""
    killed = kill_at_work(target)
    remaining = inside(target)
    export(checkpoint, target)

    assert (-signal.SIGKILL, [".static-export"]) == (killed, remaining)
    assert ["static"] == inside(target)
    manifest.verify(manifest.read(target), target)


def test_an_artifact_outlives_the_export_that_would_replace_it(checkpoint: Path, target: Path) -> None:
    """Killed before the end, or after the old one was set aside and before the new one is there."""
    export(checkpoint, target)
    before = manifest.read(target)

    kill_at_work(target)
    kept = manifest.read(target)
    target.rename(target.with_name(".static-export") / "old")
    with pytest.raises(OSError, match="disk is full"), artifact.staged(target) as new:
        (new / "half").touch()
        raise OSError("disk is full")

    assert before == kept == manifest.read(target)
    assert ["static"] == inside(target)


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_an_end_between_the_two_renames(
    target: Path, failure: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old artifact is set aside, the new one is not there yet: the old one comes back."""
    target.mkdir(parents=True)
    (target / "old").touch()
    rename = Path.rename

    def interrupted(path: Path, to: Path) -> Path:
        if path.name == "new":
            raise failure
        return rename(path, to)

    with pytest.raises(failure), artifact.staged(target) as new:
        (new / "whole").touch()
        monkeypatch.setattr(Path, "rename", interrupted)

    assert ["static"] == inside(target)
    assert [target / "old"] == list(target.iterdir())


def test_what_lies_in_the_folder_of_an_export(target: Path) -> None:
    """A stray file, as a network's file system may leave one, goes with it."""
    remaining = target.with_name(".static-export") / ".nfs0001"
    remaining.parent.mkdir(parents=True)
    remaining.touch()

    with artifact.staged(target) as new:
        (new / "whole").touch()

    assert ["static"] == inside(target)


def test_a_file_that_cannot_be_removed(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new artifact is there all the same."""

    def busy(*_: object, **__: object) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    with artifact.staged(target) as new:
        (new / "whole").touch()
        (new.parent / ".nfs0001").touch()
        monkeypatch.setattr(os, "unlink", busy)

    assert [target / "whole"] == list(target.iterdir())


@pytest.mark.parametrize("kind", ["file", "link", "broken-link"])
def test_what_stands_in_the_way_of_an_export(target: Path, kind: str) -> None:
    """It is named, and not removed."""
    staging = target.with_name(".static-export")
    staging.parent.mkdir(parents=True)
    if kind == "file":
        staging.touch()
    else:
        staging.symlink_to("." if kind == "link" else "nowhere")

    with (
        pytest.raises(ExportError, match="static-export is in the way of an export"),
        artifact.staged(target),
    ):
        pass

    assert [".static-export"] == inside(target)


def test_two_exports_of_a_model_take_turns(checkpoint: Path, target: Path) -> None:
    """The second waits for the first; here it does so until that is killed, and then does the work."""
    with other(target) as first, other(target) as second:
        lines = {process: process.stdout.readline() for process in (first, second)}  # type: ignore[union-attr]
        working = first if lines[first] == "at work\n" else second
        working.kill()
        waiting = second if working is first else first
        assert waiting.stdout is not None
        after = waiting.stdout.readline()
        waiting.communicate("")

    assert {"at work\n", "waiting\n"} == set(lines.values())
    assert "at work\n" == after
    assert ["static"] == inside(target)
    assert ["model.onnx"] == [path.name for path in target.iterdir()]


def test_what_another_export_has_done_is_not_done_again(
    checkpoint: Path, target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who had to wait finds the artifact up to date."""
    late = threading.Thread(target=export, args=(checkpoint, target))
    with artifact.staged(target) as new:
        late.start()
        until(lambda: "waiting" in capsys.readouterr().err)
        entry = Entry(name="team/static", repo="static", folder=checkpoint)
        build.build(entry, sources.find(entry), new, lambda _: None)
        result = manifest.read(new)
    late.join()

    assert "team/static: up to date" in capsys.readouterr().err
    assert result == manifest.read(target)
    assert ["static"] == inside(target)


def test_one_at_a_time(tmp_path: Path) -> None:
    """The folder that is locked goes with each export; of those who wait for it, one has the next."""
    target = tmp_path / "model"
    at_work: list[int] = []
    together: list[int] = []

    def make(number: int) -> None:
        with artifact.staged(target) as new:
            at_work.append(number)
            together.append(len(at_work))
            (new / "file").write_text(str(number))
            at_work.remove(number)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [1] * 12 == together
    assert [target] == list(tmp_path.iterdir())


@pytest.mark.parametrize(("kind", "size"), [("checkpoint", 3000), ("transformer", 30_000)])
def test_a_disk_that_takes_no_more(
    kind: str, size: int, request: pytest.FixtureRequest, target: Path
) -> None:
    """The kernel refuses to write; the sentence says so, and nothing is left."""
    folder = request.getfixturevalue(kind)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        with pytest.raises(ExportError, match=r"team/static cannot be written to .*; free or choose a place"):
            export(folder, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    assert [] == inside(target)


@pytest.mark.parametrize(
    ("architecture", "place"),
    [
        ("bert", "sentence_transformers.SentenceTransformer.eval"),
        ("bert", "onnx.helper.make_model"),
        ("gpt2", "torch.onnx.export"),
    ],
)
def test_too_little_memory(
    tmp_path_factory: pytest.TempPathFactory,
    target: Path,
    architecture: str,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While a checkpoint is loaded, written from its weights, or traced."""
    folder = small_models.save(tmp_path_factory.mktemp("memory") / architecture, architecture)

    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(place, fail)

    with pytest.raises(ExportError, match="team/static needs more memory than there is here"):
        export(folder, target)

    assert [] == inside(target)
