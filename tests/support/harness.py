"""The real program in processes of its own."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx
from prometheus_client.parser import text_string_to_metric_families

from embed_onnx.settings import PREFIX

ROOT = Path(__file__).parents[2]
"""Of the checkout."""
MINILM = "all-MiniLM-L6-v2"
SMALL = "small"
RERANKER, CLASSIFIER, SPARSE, COLBERT = "reranker", "classifier", "splade", "colbert"
PROGRAM = (sys.executable, "-m", "embed_onnx")
WITHOUT_PYTORCH = {"PYTHONPATH": str(ROOT / "tests" / "support" / "without_pytorch")}
"""A variable of processes in which PyTorch's packages are not to be had: see there."""
START_SECONDS = 120
"""A hang is a failure, not a timing: far more than a start or an answer ever takes."""
WEB = httpx.Client(timeout=START_SECONDS, limits=httpx.Limits(max_keepalive_connections=0))
"""Each of its requests is on a connection of its own, which any of several workers may take."""


class Server:
    """An ``embed-onnx serve`` process on a free port, which does not outlive its context."""

    def __init__(
        self, arguments: list[str], environment: dict[str, str], cwd: Path, program: tuple[str, ...] = PROGRAM
    ) -> None:
        command = [*program, "serve", "--port", "0", *arguments]
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=clean_environment() | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[str] = []
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.url = self._address()
        except BaseException:  # nobody else knows of the process yet
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _address(self) -> str:
        assert self._listening.wait(START_SECONDS), "the server does not listen:\n" + "".join(self.log)
        result = re.search(r"listening on (http://[^\s\"]+)", "".join(self.log))
        assert result, "the server ended before it listened:\n" + "".join(self.log)
        return result.group(1)

    def _read(self) -> None:
        """Keep reading: a server whose log nobody reads waits for ever once the pipe is full."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)
            if "listening on" in line:
                self._listening.set()
        self._listening.set()

    def wait_ready(self) -> None:
        until(self._is_ready)

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, "the server ended:\n" + "".join(self.log)
        return WEB.get(f"{self.url}/ready").status_code == 200

    def kill(self) -> None:
        """End it whatever it does; a test that wants its log asks before."""
        self.process.kill()
        self.finish()

    def stop(self) -> str:
        """Ask it to stop; its whole log."""
        self.process.terminate()
        return self.finish()

    def finish(self) -> str:
        """Wait for its end; its whole log."""
        self.process.wait(timeout=START_SECONDS)
        self._reader.join(START_SECONDS)
        assert not self._reader.is_alive()  # it would keep the pipe from being closed, for ever
        assert self.process.stderr is not None
        self.process.stderr.close()
        return "".join(self.log)


def until(condition: Callable[[], object], *, seconds: float = START_SECONDS) -> None:
    """Wait for what must happen; never happening is the failure."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def embed(url: str, value: object, **fields: Any) -> httpx.Response:
    """The answer to a request for embeddings."""
    return WEB.post(f"{url}/v1/embeddings", json={"input": value, **fields})


def numbered(text: str, count: int) -> list[str]:
    """So many texts that differ by a number: of equal ones, one alone would be computed."""
    return [f"{number} {text}" for number in range(count)]


def metrics(url: str, **headers: str) -> str:
    """The page of a server's metrics."""
    return WEB.get(f"{url}/metrics", headers=headers).text


def figure(page: str, name: str, **labels: str) -> float:
    """The sum of a page's samples that have this name and, among others, these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def waiting(url: str) -> float:
    """How many sequences wait in a server's queue."""
    return figure(metrics(url), "embed_onnx_queue_size")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def at_start(folder: Path, code: str) -> dict[str, str]:
    """Variables with which every Python process runs code before anything else; the code is in a folder."""
    (folder / "sitecustomize.py").write_text(code)
    before = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([str(folder), *([before] if before else [])])}


def clean_environment() -> dict[str, str]:
    """The environment without this project's variables, so that a developer's settings do not matter."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


def run(
    *arguments: str, cwd: Path, stdin: str = "", environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``embed-onnx`` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "embed_onnx", *arguments],
        cwd=cwd,
        env=clean_environment() | (environment or {}),
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
