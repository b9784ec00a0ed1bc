"""Ten times the load that the server can carry, for a while: what becomes of requests, health and memory.

    python -m benchmarks.overload [--texts FILE ...] [--seconds S] [--times N]

First a closed loop of lists of 16 finds the capacity. Then such lists come at N times its rate, whatever
the answers do, while /health is asked ten times a second and resident memory is read. At the end nothing
new comes, and the time that the queue takes to empty is compared with what Retry-After said last.
"""

import argparse
import http.client
import itertools
import multiprocessing
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple, Self

from benchmarks import record, stats, texts
from benchmarks.servers import OURS, Client, Server, resident_mb
from benchmarks.traffic import Pool, at_rate

TEXTS = 16
CONNECTIONS = 256
QUEUE_TOKENS = 65_536
"""About ten seconds of work: it must be full for most of a run."""


class Answer(NamedTuple):
    """What came back: when, on the clock of ``time.perf_counter``, and after how many seconds."""

    status: int
    at: float
    seconds: float
    tokens: int
    retry_after: int | None


def main() -> None:
    """Measure, and write results/overload.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=Path, nargs="*", default=[])
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--times", type=float, default=10.0)
    arguments = parser.parse_args()

    pool = Pool(texts.mixed(arguments.texts, 2000))
    with Server(OURS, "--queue-tokens", str(QUEUE_TOKENS)) as server:
        capacity = _capacity(server, pool)
        before = server.resident_mb()
        rate = arguments.times * capacity["requests/s"]
        with _Watch(server) as watch:
            answers = _flood(server, pool, rate, arguments.seconds)
            last = max((answer for answer in answers if answer.retry_after), key=lambda answer: answer.at)
            time.sleep(1)  # the watch sees the queue once more, empty
        after = server.resident_mb()
    seen = watch.seen
    rows = {
        "capacity": capacity,
        "offered, requests/s": round(rate, 1),
        "answers by status": dict(sorted(Counter(str(answer.status) for answer in answers).items())),
        "tokens/s answered, of capacity": round(
            sum(answer.tokens for answer in answers)
            / (max(answer.at for answer in answers) - min(answer.at - answer.seconds for answer in answers))
            / capacity["tokens/s"],
            2,
        ),
        "429, ms": stats.latencies([[answer.seconds for answer in answers if answer.status == 429]]),
        "/health, ms": stats.latencies([seen.health]) | {"max": round(max(seen.health) * 1e3, 1)},
        "resident MB": {"before": round(before), "most": round(max(seen.resident)), "after": round(after)},
        "Retry-After of the last 429, s": last.retry_after,
        "seconds until the queue was empty": round(seen.emptied_after(last.at), 1),
    }
    for name, value in rows.items():
        print(f"{name:40}{value}")
    record.write("overload", {"seconds": arguments.seconds} | rows)


def _capacity(server: Server, pool: Pool) -> dict[str, float]:
    """A closed loop over four connections for ten seconds."""
    lists = pool.lists(TEXTS)
    end = time.perf_counter() + 10
    lock = threading.Lock()

    def connection(_: int) -> list[Answer]:
        client, answers = Client(server.port), []
        while time.perf_counter() < end:
            with lock:
                inputs, tokens = next(lists)
            answers.append(_send(client, inputs, tokens))
        return answers

    with ThreadPoolExecutor(4) as threads:
        answers = list(itertools.chain(*threads.map(connection, range(4))))
    seconds = max(answer.at for answer in answers) - end + 10
    return {
        "requests/s": round(len(answers) / seconds, 2),
        "tokens/s": round(sum(answer.tokens for answer in answers) / seconds, 1),
    }


def _flood(server: Server, pool: Pool, rate: float, seconds: float) -> list[Answer]:
    """Every answer to requests that come at an even rate; a late connection sends at once."""
    lists = pool.lists(TEXTS)
    counts: queue.SimpleQueue[int] = queue.SimpleQueue()

    def inputs() -> Iterator[list[str]]:
        for some, tokens in lists:
            counts.put(tokens)
            yield some

    requests, lock = at_rate(inputs(), rate, seconds), threading.Lock()

    def connection(_: int) -> list[Answer]:
        client, answers = Client(server.port), []
        while True:
            with lock:
                request = next(requests, None)
                if request is None:
                    return answers
                due, some = request
                tokens = counts.get()
            time.sleep(max(0.0, due - time.perf_counter()))
            answers.append(_send(client, some, tokens))

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        return list(itertools.chain(*threads.map(connection, range(CONNECTIONS))))


def _send(client: Client, inputs: list[str], tokens: int) -> Answer:
    """Whatever is not an answer ends the run."""
    started = time.perf_counter()
    answer, _ = client.send(inputs)
    now = time.perf_counter()
    retry_after = answer.headers["retry-after"]
    done = tokens if answer.status == 200 else 0
    return Answer(answer.status, now, now - started, done, int(retry_after) if retry_after else None)


class _Seen(NamedTuple):
    """What was seen of a server; moments are on the clock of ``time.perf_counter``, which processes share."""

    health: list[float]
    """Seconds until each answer of /health."""
    resident: list[float]
    """MB."""
    waiting: list[tuple[float, float]]
    """Moments, and the tokens that waited then."""

    def emptied_after(self, moment: float) -> float:
        """Seconds from a moment until nothing waited."""
        return next(at for at, waiting in self.waiting if at > moment and not waiting) - moment


class _Watch:
    """Asks after health, memory and the queue until the end of the block.

    In a process of its own: the threads of the flood would keep an answer from being noticed.
    """

    def __init__(self, server: Server) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_watch, args=(server.port, server.process.pid, there))

    def __enter__(self) -> Self:
        self._process.start()
        self._here.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._here.send("enough")
        self.seen: _Seen = self._here.recv()
        self._process.join()


def _watch(port: int, pid: int, parent: Connection) -> None:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    seen = _Seen([], [], [])
    parent.send("ready")
    while not parent.poll(0.1):
        started = time.perf_counter()
        client.request("GET", "/health")
        client.getresponse().read()
        seen.health.append(time.perf_counter() - started)
        client.request("GET", "/metrics")
        page = client.getresponse().read().decode()
        (line,) = [line for line in page.splitlines() if line.startswith("embed_onnx_queue_tokens ")]
        seen.waiting.append((time.perf_counter(), float(line.split()[1])))
        seen.resident.append(resident_mb(pid))
    parent.send(seen)


if __name__ == "__main__":
    main()
