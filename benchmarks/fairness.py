"""Equal lists all at once: when each is done, how many are in time for impatient clients, and queries beside.

    python -m benchmarks.fairness [--requests N] [--inputs N] [--before REVISION]

First, N lists of so many texts come at once, while single short texts are sent. In the order of arrival, at
the same throughput, list i of N would be done after i / N of the whole time: that is the ideal. Then N lists
of half as many texts come from clients that give up after a third of the time that all of them take, and try
again twice. With --before, an earlier revision does the same in the same run, from a worktree of its own.
"""

import argparse
import contextlib
import http.client
import json
import random
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import peers, record, stats, texts
from benchmarks.servers import OURS, Server
from embed_onnx.engine.native import LIBRARY

ROOT = Path(__file__).parent.parent
WORDS = 60
"""Of each text; so lists are equal."""
QUERIES_A_SECOND = 10
GIVES_UP = 1 / 3
"""After this part of the time that all lists take."""
RETRIES = 2
PAUSES = (0.5, 8.0)
"""Seconds, at first and at most, before a retry where the server names none: the official client's."""


def main() -> None:
    """Measure, and write results/fairness.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--requests", type=int, default=60)
    parser.add_argument("--inputs", type=int, default=32, help="texts of a list")
    parser.add_argument("--before", default="", help="a revision to compare with")
    arguments = parser.parse_args()

    rows: dict[str, Any] = {}
    with _sources(arguments.before) as sources:
        for name, source in sources.items():
            with Server(OURS, source=source) as server:
                _at_once(server, 4, arguments.inputs)  # what is needed first is in memory
                rows[name] = _measure(server, arguments.requests, arguments.inputs)
            print(name, json.dumps(rows[name], indent=2))
    record.write("fairness", {"requests": arguments.requests, "inputs": arguments.inputs, "policies": rows})


@contextlib.contextmanager
def _sources(before: str) -> Iterator[dict[str, Path | None]]:
    """The folders of what is measured; an earlier revision runs with the kernels of this one."""
    if not before:
        yield {"now": None}
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "before"
        subprocess.run(["git", "worktree", "add", "--detach", folder, before], cwd=ROOT, check=True)
        try:
            shutil.copy(LIBRARY, folder / LIBRARY.relative_to(ROOT))
            yield {"before": folder, "now": None}
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", folder], cwd=ROOT, check=True)


def _measure(server: Server, requests: int, inputs: int) -> dict[str, Any]:
    with _queries(server) as queries:
        done = _at_once(server, requests, inputs)
    whole = max(done)
    ideal = [whole * (place + 1) / requests for place in range(requests)]
    patience = GIVES_UP * whole / 2  # of lists that are half as long
    with ThreadPoolExecutor(requests) as threads:
        tries = list(threads.map(lambda one: _in_time(server, inputs // 2, one, patience), range(requests)))
    return {
        "seconds": stats.rounded(whole),
        "done, s": {"first": stats.rounded(min(done)), **_spread(done)},
        "ideal, s": {"first": stats.rounded(ideal[0]), **_spread(ideal)},
        "query, ms": stats.latencies([queries]),
        "gives up after, s": stats.rounded(patience),
        "in time": sum(tried > 0 for tried in tries),
        "in time at the first try": tries.count(1),
    }


def _spread(seconds: list[float]) -> dict[str, float]:
    return {
        "mean": stats.rounded(float(np.mean(seconds))),
        "p95": stats.rounded(float(np.percentile(seconds, 95))),
    }


def _at_once(server: Server, requests: int, inputs: int) -> list[float]:
    """Seconds until each of so many lists is done, which are sent together."""
    start = threading.Barrier(requests)

    def send(number: int) -> float:
        start.wait()
        started = time.perf_counter()
        status, _ = _send(server, texts.of_words(inputs, WORDS, seed=number), 600)
        if status != 200:
            raise http.client.HTTPException(f"list {number} was answered with {status}")
        return time.perf_counter() - started

    with ThreadPoolExecutor(requests) as threads:
        return list(threads.map(send, range(requests)))


@contextlib.contextmanager
def _queries(server: Server) -> Iterator[list[float]]:
    """Seconds until the answer of each of the short texts that are sent until the end of the block."""
    over, taken = threading.Event(), []

    def run() -> None:
        while not over.wait(1 / QUERIES_A_SECOND):
            started = time.perf_counter()
            _send(server, texts.of_words(1, 6, seed=len(taken)), 600)
            taken.append(time.perf_counter() - started)

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(run)
        yield taken
        over.set()
        running.result()


def _in_time(server: Server, inputs: int, number: int, patience: float) -> int:
    """Which try of a client brought the vectors; 0: none."""
    rng = random.Random(number)
    words = texts.of_words(inputs, WORDS, seed=number)
    for tried in range(1, RETRIES + 2):
        pause = min(PAUSES[1], PAUSES[0] * 2 ** (tried - 1)) * (1 - 0.25 * rng.random())
        with contextlib.suppress(TimeoutError):
            status, retry_after = _send(server, words, patience)
            if status == 200:
                return tried
            pause = retry_after or pause
        time.sleep(pause)
    return 0


def _send(server: Server, words: list[str], seconds: float) -> tuple[int, float]:
    """The status of a request, and when to try again; leaves after so many seconds."""
    body = json.dumps({"model": peers.SMALL, "input": words, "encoding_format": "base64"})
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=seconds)
    try:
        connection.request("POST", "/embeddings", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status, float(answer.headers["retry-after"] or 0)
    finally:
        connection.close()


if __name__ == "__main__":
    main()
