"""Signals while a server starts, and whose threads may take them; all in real processes."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
from harness import START_SECONDS, Server, until

from embed_onnx.http import workers

RELOADED_EARLY = (
    sys.executable,
    "-c",
    """
import os, signal
from embed_onnx.cli import main, serve

serve._export_missing = lambda *_: os.kill(os.getpid(), signal.SIGHUP)
main.main()
""",
)
"""The server, which gets a reload while it would export."""
ORPHAN = """
import time
from embed_onnx.system import child

child.end_with_parent(0)
time.sleep(60)
"""
"""A worker whose parent has gone before it could ask for a signal in that case."""


def blocked(pid: int) -> list[set[signal.Signals]]:
    """Of each thread of a process but the main one, which of the parent's signals it blocks."""
    masks = [
        int(line.split()[1], 16)
        for folder in Path(f"/proc/{pid}/task").iterdir()
        if folder.name != str(pid)
        for line in (folder / "status").read_text().splitlines()
        if line.startswith("SigBlk:")
    ]
    return [{number for number in workers.SIGNALS if mask >> number - 1 & 1} for mask in masks]


def test_no_thread_of_the_parent_takes_a_signal(serve: Callable[..., Server]) -> None:
    """But the main one, which waits for them: any other would drop them, or end the process."""
    server = serve("--workers", "2", "--threads", "2")

    masks = blocked(server.process.pid)

    assert masks
    assert [workers.SIGNALS] * len(masks) == masks


def test_a_reload_that_is_asked_for_during_a_start(serve: Callable[..., Server]) -> None:
    """It waits for the start's end, and does not end the process."""
    server = serve(program=RELOADED_EARLY)

    until(lambda: any("reloaded; served are" in line for line in server.log))
    assert 200 == httpx.post(f"{server.url}/v1/embeddings", json={"input": "a text"}).status_code


def test_a_worker_whose_parent_has_gone_ends() -> None:
    done = subprocess.run([sys.executable, "-c", ORPHAN], timeout=START_SECONDS, check=False)

    assert -signal.SIGTERM == done.returncode
