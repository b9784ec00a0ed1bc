"""A server's life: seconds from the command to ready, request latencies, and memory after mixed requests.

    python -m benchmarks.server [--texts FILE ...] [--requests N] [--connections N]

Starts ``embed-onnx serve`` with artifacts that exist. Requests are a single text (half of them) or lists
of up to 16 texts, over so many connections at once; then single short texts are sent one after the other
on the idle server.
"""

import argparse
import http.client
import json
import random
import re
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import httpx

from benchmarks import record, texts

IDLE_REQUESTS = 200


def main() -> None:
    """Measure, and write results/server.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=Path, nargs="*", default=[])
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--starts", type=int, default=5)
    arguments = parser.parse_args()

    starts = [_start_and_stop() for _ in range(arguments.starts)]
    with _Server() as server:
        before = server.resident_mb()
        _send_mixed(server, arguments)
        after = server.resident_mb()
        idle = _idle_latencies(server)
    rows = {
        "seconds to ready, median": round(statistics.median(starts), 2),
        "seconds to ready, max": round(max(starts), 2),
        "resident MB when ready": round(before),
        f"resident MB after {arguments.requests} mixed requests": round(after),
        "one text of 8 tokens, idle, p50 ms": round(statistics.median(idle) * 1e3, 2),
        "one text of 8 tokens, idle, p99 ms": round(statistics.quantiles(idle, n=100)[98] * 1e3, 2),
    }
    for name, value in rows.items():
        print(f"{name:44}{value}")
    record.write("server", rows)


class _Server:
    """A server process and a client for it."""

    def __init__(self) -> None:
        started = time.perf_counter()
        command = [sys.executable, "-m", "embed_onnx", "serve", "--port", "0"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        url = next(found.group() for line in self.process.stderr if (found := re.search(r"http://\S+", line)))
        # Its log must be read, or the pipe fills and the server waits.
        self._reader = ThreadPoolExecutor(1)
        self._reader.submit(self.process.stderr.read)
        self.client = httpx.Client(base_url=url, timeout=300)
        while self.client.get("/ready").status_code != 200:
            time.sleep(0.01)
        self.ready_seconds = time.perf_counter() - started

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.process.terminate()
        self.process.wait()
        self._reader.shutdown()

    def embed(self, given: list[str]) -> float:
        """Seconds of one request, answered in base64 as the official client asks for."""
        started = time.perf_counter()
        body = {"input": given, "encoding_format": "base64"}
        self.client.post("/v1/embeddings", json=body).raise_for_status()
        return time.perf_counter() - started

    def resident_mb(self) -> float:
        """The process's resident memory, as its kernel counts it."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        kilobytes = re.search(r"VmRSS:\s+(\d+)", status)
        assert kilobytes is not None
        return int(kilobytes.group(1)) / 1000


def _start_and_stop() -> float:
    with _Server() as server:
        return server.ready_seconds


def _send_mixed(server: _Server, arguments: argparse.Namespace) -> None:
    rng = random.Random(0)
    pool = texts.mixed(arguments.texts, 2000)
    sizes = [1 if rng.random() < 0.5 else rng.randint(2, 16) for _ in range(arguments.requests)]
    with ThreadPoolExecutor(arguments.connections) as connections:
        for _ in connections.map(lambda size: server.embed(rng.choices(pool, k=size)), sizes):
            pass


def _idle_latencies(server: _Server) -> list[float]:
    """Seconds of single requests, by the standard library's client: it costs less than the answer takes."""
    connection = http.client.HTTPConnection(server.client.base_url.host, server.client.base_url.port or 80)
    taken = []
    for seed in range(IDLE_REQUESTS):
        body = json.dumps({"input": texts.of_words(1, 6, seed=seed), "encoding_format": "base64"})
        started = time.perf_counter()
        connection.request("POST", "/v1/embeddings", body, {"content-type": "application/json"})
        connection.getresponse().read()
        taken.append(time.perf_counter() - started)
    connection.close()
    return taken


if __name__ == "__main__":
    main()
