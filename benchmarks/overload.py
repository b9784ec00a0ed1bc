"""Ten times the load that the server can carry, for a while: what becomes of requests, health and memory.

    python -m benchmarks.overload [--texts FILE ...] [--seconds S] [--times N]

First a closed loop of lists of 16 finds the capacity. Then such lists come at N times its rate, whatever
the answers do, while /health is asked ten times a second and resident memory is read. At the end nothing
new comes, and the time that the queue takes to empty is compared with what Retry-After said last.
"""

import argparse
import http.client
import itertools
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Self

from benchmarks import record, stats, texts
from benchmarks.servers import OURS, Client, Server
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
            emptied = watch.emptied_after(last.at)
        after = server.resident_mb()
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
        "/health, ms": stats.latencies([watch.health]) | {"max": round(max(watch.health) * 1e3, 1)},
        "resident MB": {"before": round(before), "most": round(max(watch.resident)), "after": round(after)},
        "Retry-After of the last 429, s": last.retry_after,
        "seconds until the queue was empty": round(emptied, 1),
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
                given, tokens = next(lists)
            answers.append(_send(client, given, tokens))
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

    def given() -> Iterator[list[str]]:
        for some, tokens in lists:
            counts.put(tokens)
            yield some

    requests, lock = at_rate(given(), rate, seconds), threading.Lock()

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


def _send(client: Client, given: list[str], tokens: int) -> Answer:
    """Whatever is not an answer ends the run."""
    started = time.perf_counter()
    answer, _ = client.send(given)
    now = time.perf_counter()
    retry_after = answer.headers["retry-after"]
    done = tokens if answer.status == 200 else 0
    return Answer(answer.status, now, now - started, done, int(retry_after) if retry_after else None)


class _Watch:
    """Asks after health, memory and the queue, on a connection of its own, until the end of the block."""

    def __init__(self, server: Server) -> None:
        self.health: list[float] = []
        self.resident: list[float] = []
        self._waiting: list[tuple[float, float]] = []
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def emptied_after(self, moment: float) -> float:
        """Seconds from a moment until nothing waits."""
        while True:
            for at, waiting in list(self._waiting):
                if at > moment and not waiting:
                    return at - moment
            time.sleep(0.05)

    def _run(self) -> None:
        client = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=600)
        while not self._over.wait(0.1):
            started = time.perf_counter()
            client.request("GET", "/health")
            client.getresponse().read()
            self.health.append(time.perf_counter() - started)
            client.request("GET", "/metrics")
            page = client.getresponse().read().decode()
            (line,) = [line for line in page.splitlines() if line.startswith("embed_onnx_queue_tokens ")]
            self._waiting.append((time.perf_counter(), float(line.split()[1])))
            self.resident.append(self._server.resident_mb())


if __name__ == "__main__":
    main()
