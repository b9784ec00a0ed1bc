"""Runs that are killed or interrupted at any moment: the same command makes the output whole."""

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from bulk_runs import (
    FRAGILE,
    IMPATIENT,
    KINDS,
    beside,
    end_at_steps,
    kill_at_work,
    started,
    texts_of,
    write_lines,
)
from harness import SMALL, START_SECONDS, clean_environment, run, until

INTERRUPTIBLE = f"import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n{IMPATIENT}"
"""The same where the process that started the tests ignores interrupts."""


def test_an_interrupt_keeps_what_was_done(home: Path, tmp_path: Path) -> None:
    """It ends at once, without a traceback, and the same command goes on."""
    source, output = write_lines(tmp_path / "in.txt", texts_of(8000)), tmp_path / "out.npy"
    command = ["embed", str(source), "--model", SMALL, "-o", str(output)]
    journal = tmp_path / "out.npy.partial/journal.json"
    process = started(*command, cwd=home, program=INTERRUPTIBLE)
    until(lambda: journal.exists() and json.loads(journal.read_bytes()).get("rows", 0))
    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=START_SECONDS)
    interrupted = json.loads(journal.read_bytes())["rows"]

    assert 130 == process.returncode
    assert log.endswith("stopped by SIGINT; the same command continues from here\n")
    assert 0 < interrupted < 8000
    assert 0 == run(*command, cwd=home).returncode
    assert 8000 == len(np.load(output, mmap_mode="r"))


@pytest.mark.parametrize(
    ("source", "kind", "dtype"),
    [
        (".txt", ".npy", "float16"),
        (".csv", ".jsonl", "int8"),
        (".parquet", ".parquet", "int8"),
    ],
)
def test_killed_and_run_again_until_it_ends(
    home: Path, tmp_path: Path, source: str, kind: str, dtype: str
) -> None:
    """kill -9 at random moments of the work: the output is that of a run which nobody killed, to the byte."""
    rng = random.Random(kind)
    texts = texts_of(6000)
    for place in range(0, 6000, 97):
        texts[place] = ""
    value, output, whole = tmp_path / f"in{source}", tmp_path / f"out{kind}", tmp_path / f"w{kind}"
    columns = write_input(value, texts)
    command = ["embed", str(value), *columns, "--model", SMALL, "--dtype", dtype, "-o"]

    kills = 0
    for _ in range(5):
        kills += kill_at_work([*command, str(output)], output, home, rng.random() * 0.15)
    done = started(*command, str(output), cwd=home)
    _, log = done.communicate(timeout=START_SECONDS)
    assert 2 == done.returncode, log
    assert 2 == run(*command, str(whole), cwd=home).returncode

    assert kills >= 2
    assert whole.read_bytes() == output.read_bytes()
    assert beside(whole) == beside(output)
    for suffix in beside(whole):
        assert Path(f"{whole}{suffix}").read_bytes() == Path(f"{output}{suffix}").read_bytes()


def write_input(path: Path, texts: list[str]) -> list[str]:
    """Write texts as a file of the kind that its name says; the flags that choose its columns."""
    if path.suffix == ".txt":
        write_lines(path, texts)
        return []
    table = pa.table({"name": [f"n{place}" for place in range(len(texts))], "text": texts})
    if path.suffix == ".csv":
        pa_csv.write_csv(table, path)
    else:
        pq.write_table(table, path, row_group_size=1000)
    return ["--id", "name"]


@pytest.mark.parametrize("kind", KINDS)
def test_ended_at_any_step_of_writing(home: Path, tmp_path: Path, kind: str) -> None:
    """The process is gone at its 2nd, 3rd, ... sync, rename or removal: what follows makes it whole."""
    source = write_lines(tmp_path / "in.txt", texts_of(400))

    end_at_steps(["embed", str(source), "--model", SMALL, "-o"], tmp_path, kind, home)


def test_standard_input_goes_on_with_the_same(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed run passes over what it has read; other bytes in its place are refused."""
    output = tmp_path / "out.npy"
    content = "".join(f"{text}\n" for text in texts_of(400))
    command = ["embed", "-", "--model", SMALL, "-o", str(output)]
    program = [sys.executable, "-c", FRAGILE, "22", *command]
    killed = subprocess.run(program, cwd=home, env=clean_environment(), input=content, text=True, check=False)
    assert 9 == killed.returncode

    other = run(*command, cwd=home, stdin="x" + content)
    short = run(*command, cwd=home, stdin="")
    same = run(*command, cwd=home, stdin=content)

    assert [1, 1, 0] == [done.returncode for done in (other, short, same)], same.stderr
    assert "standard input is not what it was before" in other.stderr
    assert 400 == len(np.load(output))


def test_standard_input_of_a_run_that_stopped_at_its_end(home: Path, tmp_path: Path) -> None:
    """All is embedded, and only files are to be renamed; yet other bytes are another input."""
    output = tmp_path / "out.npy"
    command = ["embed", "-", "--model", SMALL, "-o", str(output)]
    (tmp_path / "out.npy.meta.json").mkdir()
    stopped = run(*command, cwd=home, stdin="a\nb\n")
    (tmp_path / "out.npy.meta.json").rmdir()

    more = run(*command, cwd=home, stdin="a\nb\nc\n")
    other = run(*command, cwd=home, stdin="a\nc\n")
    same = run(*command, cwd=home, stdin="a\nb\n")

    assert [1, 1, 1, 0] == [done.returncode for done in (stopped, more, other, same)], same.stderr
    assert "standard input is not what it was before" in more.stderr
    assert "standard input is not what it was before" in other.stderr
    assert 2 == len(np.load(output))
