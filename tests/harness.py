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

import httpx

from embed_onnx.settings import PREFIX

MINILM = "all-MiniLM-L6-v2"
SMALL = "small"
PROGRAM = (sys.executable, "-m", "embed_onnx")
START_SECONDS = 60
"""A hang is a failure, not a timing: far more than a start ever takes."""


class Server:
    """An ``embed-onnx serve`` process on a free port."""

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
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self._listening.wait(START_SECONDS)
        found = re.search(r"listening on (http://[^\s\"]+)", "".join(self.log))
        assert found, "the server ended before it listened:\n" + "".join(self.log)
        self.url = found.group(1)

    def _read(self) -> None:
        """Keep reading: a server whose log nobody reads waits for ever once the pipe is full."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)
            if "listening on" in line:
                self._listening.set()
        self._listening.set()

    def wait_ready(self) -> None:
        with httpx.Client(base_url=self.url, timeout=START_SECONDS) as client:
            while client.get("/ready").status_code != 200:
                assert self.process.poll() is None

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
        assert self.process.stderr is not None
        self.process.stderr.close()
        return "".join(self.log)


def until(condition: Callable[[], object], *, seconds: float = START_SECONDS) -> None:
    """Wait for what must happen; never happening is the failure."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


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
