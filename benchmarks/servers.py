"""HTTP servers in processes of their own, and a client that costs less than what it measures."""

import contextlib
import http.client
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from benchmarks import peers
from benchmarks.engines import SYSTEM_TIME, USER_TIME
from benchmarks.traffic import Request
from embed_onnx.system import cpu

OURS, LLAMA = "embed-onnx", "llama.cpp's server, q8_0"
TORCH, OPTIMUM = "Infinity 0.0.78 (Python), torch engine", "Infinity 0.0.78 (Python), optimum engine"
"""Infinity 3 is another program, in Rust over Candle."""
INFINITY_TORCH = ("--engine", "torch", "--no-compile")
"""Its own advice for BERT: BetterTransformer instead of torch.compile."""
INFINITY_OPTIMUM = ("--engine", "optimum", "--onnx-disable-optimize")
"""The graph in its folder is fused already."""


def command(name: str) -> list[str]:
    """How a server of all-MiniLM-L6-v2 is started; the port comes after it."""
    if name == OURS:
        return own_command(peers.artifact(peers.SMALL).parent)
    if name == LLAMA:
        script = peers.WORKERS / "llama_server.py"
        return [*map(str, (peers.python("llama"), script, peers.gguf(peers.SMALL), cpu.usable_cores()))]
    if name == TORCH:
        return infinity_command(peers.SMALL, *INFINITY_TORCH, folder=peers.checkpoint(peers.SMALL))
    flags = [*INFINITY_OPTIMUM, "--pooling-method", "mean"]
    return infinity_command(peers.SMALL, *flags, folder=peers.infinity(peers.SMALL))


def own_command(artifacts: Path) -> list[str]:
    """How our server of a folder of artifacts is started."""
    flags = ["--artifacts", str(artifacts), "--models", str(artifacts / "none.txt")]
    return [sys.executable, "-m", "embed_onnx", "serve", *flags]


def infinity_command(model: str, *flags: str, folder: Path) -> list[str]:
    """How an Infinity of one model is started."""
    words = [str(peers.python("infinity")), "-m", "infinity_emb.cli", "v2"]
    words += ["--host", "127.0.0.1", "--device", "cpu", "--url-prefix", "/v1"]
    return [*words, *flags, "--served-model-name", model, "--model-id", str(folder)]


class Server:
    """A server that has answered once; ``start_seconds`` is how long that took.

    ``flags`` are added to its command; ours may be of another ``source`` folder than this one.
    """

    def __init__(self, name: str, *flags: str, source: Path | None = None) -> None:
        started = time.perf_counter()
        self.port = free_port()
        variables = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
        with (peers.HOME / "server.log").open("w") as log:
            self.process = subprocess.Popen(
                [*command(name), *flags, "--port", str(self.port)],
                env=os.environ | variables,
                cwd=source,  # where python -m looks first
                stdout=log,
                stderr=log,
                # In a process group of its own: one with stopped members is hung up when its leader goes.
                start_new_session=True,
            )
        self.wait_for_answer()
        self.start_seconds = time.perf_counter() - started

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait()

    def wait_for_answer(self) -> None:
        """Return once it has answered."""
        while not self._answers():
            time.sleep(0.01)

    def sleep(self) -> None:
        """Stop the process: a server that idles would cost the others' figures something."""
        self.process.send_signal(signal.SIGSTOP)

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """Let it run in between."""
        self.process.send_signal(signal.SIGCONT)
        yield
        self.sleep()

    def resident_mb(self) -> float:
        """The process's resident memory."""
        return resident_mb(self.process.pid)

    def processor_seconds(self) -> float:
        """What its process has computed so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[USER_TIME]) + int(fields[SYSTEM_TIME])) / os.sysconf("SC_CLK_TCK")

    def send(self, requests: Iterator[Request], connections: int) -> list[float]:
        """Send each when it is due, or when a connection is free; seconds from then until its answer."""
        lock = threading.Lock()

        def connection(_: int) -> list[float]:
            client, taken = Client(self.port), []
            while True:
                with lock:
                    request = next(requests, None)
                if request is None:
                    return taken
                taken.append(client.answered_after(*request))

        with ThreadPoolExecutor(connections) as threads:
            return list(itertools.chain(*threads.map(connection, range(connections))))

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.process.args} ended; see {peers.HOME / 'server.log'}")
        try:
            Client(self.port).answered_after(0, ["ready?"])
        except (OSError, http.client.HTTPException):
            return False
        return True


class Client:
    """A connection that is kept open; answers are base64, as the official client asks for."""

    KEPT = 2.0
    """Seconds without a request after which it is opened anew; servers close theirs after five or so."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        self._used = 0.0

    def answered_after(self, due: float, inputs: list[str]) -> float:
        """Send one request at its time or at once if that has passed; seconds from then until its answer."""
        time.sleep(max(0.0, due - time.perf_counter()))
        answer, content = self.send(inputs)
        if answer.status != 200:
            raise http.client.HTTPException(f"{answer.status}: {content[:200]!r}")
        return self._used - due

    def send(self, inputs: list[str]) -> tuple[http.client.HTTPResponse, bytes]:
        """Send one request for vectors; its answer, whatever that is, and the answer's body."""
        return self.post(
            "/v1/embeddings", {"model": peers.SMALL, "input": inputs, "encoding_format": "base64"}
        )

    def post(self, path: str, fields: dict[str, object]) -> tuple[http.client.HTTPResponse, bytes]:
        """Send one request of JSON; its answer, whatever that is, and the answer's body."""
        if time.perf_counter() - self._used > self.KEPT:
            self._connection.close()
        body = json.dumps(fields)
        self._connection.request("POST", path, body, {"content-type": "application/json"})
        answer = self._connection.getresponse()
        content = answer.read()
        self._used = time.perf_counter()
        return answer, content


def resident_mb(pid: int, *, most: bool = False) -> float:
    """A process's resident memory, or the most until now, as its kernel counts it; 0 once it has ended."""
    name = "VmHWM" if most else "VmRSS"
    kilobytes = re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(kilobytes.group(1)) / 1000 if kilobytes else 0.0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
