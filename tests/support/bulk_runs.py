"""Runs of ``embed`` in this process and in others, and what they leave on the disk."""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from harness import clean_environment

from embed_onnx.bulk import journal
from embed_onnx.bulk.writers import Meta
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
Embed = Callable[..., Meta]


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
