"""Single texts at a fixed rate while the server is reloaded over and over, or hostile clients are at it.

    python -m benchmarks.disturbed [--texts FILE ...] [--seconds S] [--rate R]

An answer that is not 200, or a connection that breaks, ends the run: there is no figure of failures.
"""

import argparse
import contextlib
import http.client
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from benchmarks import peers, record, stats, texts
from benchmarks.servers import OURS, Server
from benchmarks.traffic import Pool, at_rate
from embed_onnx.artifact import manifest

CONNECTIONS = 64
SLOW_CLIENTS = 100
PAUSE = 1.0
"""Seconds between two reloads, and between two rounds of the hostile clients."""


def main() -> None:
    """Measure, and write results/disturbed.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=Path, nargs="*", default=[])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second")
    arguments = parser.parse_args()

    pool = Pool(texts.mixed(arguments.texts, 2000))
    rows = {}
    with _server() as (server, folder):
        disturbances = {
            "nothing else": lambda: None,
            "a new artifact and SIGHUP every second": lambda: _reload(server, folder),
            f"{SLOW_CLIENTS} slow clients; every second 16 MB of empty lists, and bytes that are no HTTP": (
                lambda: _attack(server)
            ),
        }
        for name, disturb in disturbances.items():
            with _again_and_again(disturb):
                taken = server.send(at_rate(pool.singles(), arguments.rate, arguments.seconds), CONNECTIONS)
            rows[name] = stats.latencies([taken])
            print(f"{name:90}{rows[name]}")
    record.write("disturbed", {"rate": arguments.rate, "seconds": arguments.seconds, "latency_ms": rows})


@contextlib.contextmanager
def _server() -> Iterator[tuple[Server, Path]]:
    """A server of a copy of the artifact, and where that is."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / peers.SMALL
        shutil.copytree(peers.artifact(peers.SMALL), folder)
        with Server(OURS, "--artifacts", home, "--models", str(folder / "none")) as server:
            yield server, folder


@contextlib.contextmanager
def _again_and_again(disturb: Callable[[], None]) -> Iterator[None]:
    over = threading.Event()

    def run() -> None:
        while not over.wait(PAUSE):
            disturb()

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(run)
        try:
            yield
        finally:
            over.set()
            running.result()


def _reload(server: Server, folder: Path) -> None:
    """The manifest says another time, so the model is loaded anew."""
    described = manifest.read(folder)
    manifest.write(msgspec.structs.replace(described, created=described.created + 1), folder)
    server.process.send_signal(signal.SIGHUP)


def _attack(server: Server) -> None:
    """One round; connections that the server closes are opened anew in the next."""
    with contextlib.ExitStack() as stack:
        for _ in range(SLOW_CLIENTS):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            slow.sendall(b"POST /embeddings HTTP/1.1\r\nhost:")
        with contextlib.suppress(OSError):
            slow.sendall(b"\x16\x03\x01 no HTTP \0\r\n\r\n")
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
        body = b'{"input": [' + b"[]," * 5_500_000 + b"[]]}"
        client.request("POST", "/embeddings", body, {"content-type": "application/json"})
        answer = client.getresponse()
        answer.read()
        if answer.status != 400:
            raise http.client.HTTPException(f"{answer.status} instead of 400")
        client.close()


if __name__ == "__main__":
    main()
