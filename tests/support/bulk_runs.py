"""Runs of ``embed`` in this process and in others, and what they leave on the disk."""

import contextlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from harness import START_SECONDS, clean_environment, run

from embed_onnx.bulk import journal
from embed_onnx.bulk.embed import EmbedMeta
from embed_onnx.errors import SetupError

KINDS = [".npy", ".jsonl", ".parquet"]
WORDS = ["a", "small", "model", "reads", "few", "words", "and", "learns", "where", "they", "end"]
IMPATIENT = """
from embed_onnx.cli import main as cli
from embed_onnx.bulk import journal
journal.COMMIT_SECONDS = 0.02
cli.main()
"""
"""The program, which commits so often that a test need not wait."""
FRAGILE = """
import os, sys
from embed_onnx.cli import main as cli
from embed_onnx.bulk import journal
journal.COMMIT_SECONDS = 0
steps = int(sys.argv.pop(1))
def fragile(call):
    def step(*given, **named):
        global steps
        steps -= 1
        if steps == 0:
            os._exit(9)
        return call(*given, **named)
    return step
os.fsync, os.rename, os.replace = fragile(os.fsync), fragile(os.rename), fragile(os.replace)
os.unlink, os.rmdir = fragile(os.unlink), fragile(os.rmdir)
cli.main()
"""
"""The program, which ends at once at the n-th call that changes what is on the disk for good."""
Embed = Callable[..., EmbedMeta]


def texts_of(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, 20))) for _ in range(count)]


def write_lines(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def vectors_in(output: Path) -> np.ndarray:
    """Of any kind of output, [rows, width]."""
    if output.suffix == ".npy":
        return np.load(output, mmap_mode="r")
    if output.suffix == ".jsonl":
        return np.array([line["embedding"] for line in lines_in(output)], np.float32)
    column = pq.read_table(output).column("embedding").combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), -1)


def lines_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def beside(output: Path) -> set[str]:
    """The files of an output but for itself, by suffix."""
    return {path.name.removeprefix(output.name) for path in output.parent.glob(f"{output.name}?*")}


def started(*arguments: str, cwd: Path, program: str = IMPATIENT) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=cwd,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def refused(embed: Embed, *value: Any, **flags: Any) -> str:
    with pytest.raises(SetupError) as caught:
        embed(*value, **flags)
    return str(caught.value)


def leave_unfinished(
    embed: Embed, source: Path, output: Path, monkeypatch: pytest.MonkeyPatch, **flags: Any
) -> None:
    """Leave an unfinished run of some rows at an output."""
    with monkeypatch.context() as patched:
        patched.setattr(journal, "COMMIT_SECONDS", 0)
        patched.setattr(journal.Journal, "finish", lambda *_: (_ for _ in ()).throw(SetupError("stop")))
        assert "stop" == refused(embed, source, output, **flags)


def kill_at_work(command: list[str], output: Path, home: Path, seconds: float) -> int:
    """Start a run, kill it after so long at work; 1 if it was at work then."""
    place = Path(f"{output}.partial/journal.json")
    before = place.read_bytes() if place.exists() else b""
    process = started(*command, cwd=home)
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and (not place.exists() or place.read_bytes() == before):
        assert time.monotonic() < end
        time.sleep(0.001)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.kill()
    process.communicate()
    return int(process.returncode == -9)


def end_at_steps(command: list[str], folder: Path, kind: str, home: Path) -> None:
    """Run a command whose process is gone at its 2nd, 3rd, ... step of writing, until the output is whole.

    It is then what a run has that nothing ended. The output's name is the command's last word.
    """
    output, whole = folder / f"o{kind}", folder / f"w{kind}"
    assert 0 == run(*command, str(whole), cwd=home).returncode
    ended = []
    for steps in [2, 5, 9, *range(4, 40, 3), 100]:
        process = started(str(steps), *command, str(output), cwd=home, program=FRAGILE)
        _, log = process.communicate(timeout=START_SECONDS)
        ended.append(process.returncode)
        assert process.returncode in (0, 9), log
        if output.exists():
            assert whole.read_bytes() == output.read_bytes()
        if process.returncode == 0:
            break

    assert 0 == ended[-1]
    assert len(ended) > 4
    assert beside(whole) == beside(output)
