"""Texts that come again, with and without a cache: requests a second, and what a miss costs.

    python -m benchmarks.repeats [--texts FILE ...] [--rounds N] [--share S]

In each round, both servers get the same requests: single texts, and lists of 64, each of them new, or with
so large a share of texts that were sent before. In the last case, they are repeated in the list itself. The
processor's time is the server's alone; requests a second are those of the whole machine, client included.
"""

import argparse
import itertools
import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import record, stats, texts
from benchmarks.servers import OURS, Server
from benchmarks.traffic import Request

SHARE = 0.37
"""Of equal rows in an index of a shop's products that was made with all-MiniLM-L6-v2."""
LIST = 64
CACHE_BYTES = 268_435_456
SERVERS: dict[str, tuple[str, ...]] = {"without": (), "with": ("--cache-bytes", str(CACHE_BYTES))}
CONNECTIONS = 4

Lists = list[list[str]]


class Stream:
    """Texts that were never sent, and those that were."""

    def __init__(self, files: list[Path], seed: int) -> None:
        self._rng = random.Random(seed)
        self._numbers = itertools.count()
        self._seed = seed
        self._pool = texts.mixed(files, 2000)
        self._before: list[str] = []

    def lists(self, count: int, size: int, share: float) -> Lists:
        """So many lists, a share of whose texts is from requests of before."""
        return [
            [self._old() if self._rng.random() < share else self._new() for _ in range(size)]
            for _ in range(count)
        ]

    def repeating(self, count: int, size: int, share: float) -> Lists:
        """So many lists of new texts, a share of which stands in the list a second time."""
        repeats = round(size * share)
        fresh = [[self._new() for _ in range(size - repeats)] for _ in range(count)]
        return [self._rng.sample(own + self._rng.choices(own, k=repeats), size) for own in fresh]

    def _new(self) -> str:
        number = next(self._numbers)
        text = f"{self._seed} {number} {self._pool[number % len(self._pool)]}"
        self._before.append(text)
        return text

    def _old(self) -> str:
        return self._rng.choice(self._before) if self._before else self._new()


def main() -> None:
    """Measure, and write results/repeats.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=Path, nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--share", type=float, default=SHARE)
    arguments = parser.parse_args()

    taken: dict[str, dict[str, list[tuple[float, float]]]] = {}
    with Server(OURS, *SERVERS["without"]) as plain, Server(OURS, *SERVERS["with"]) as cached:
        for number in range(arguments.rounds):
            for case, lists in _cases(Stream(arguments.texts, number), arguments.share).items():
                for name, server in {"without": plain, "with": cached}.items():
                    taken.setdefault(case, {}).setdefault(name, []).append(_measure(server, lists))
    rows = {case: _row(by_server) for case, by_server in taken.items()}
    for case, row in rows.items():
        print(case, row)
    record.write(
        "repeats", {"share": arguments.share, "list": LIST, "cache bytes": CACHE_BYTES, "cases": rows}
    )


def _cases(stream: Stream, share: float) -> dict[str, Lists]:
    percent = f"{share:.0%}".replace("%", " %")
    return {
        "single texts, all new": stream.lists(500, 1, 0),
        f"single texts, {percent} sent before": stream.lists(500, 1, share),
        f"lists of {LIST}, all new": stream.lists(12, LIST, 0),
        f"lists of {LIST}, {percent} sent before": stream.lists(12, LIST, share),
        f"lists of {LIST}, {percent} twice in the list": stream.repeating(12, LIST, share),
    }


def _measure(server: Server, lists: Lists) -> tuple[float, float]:
    """Requests a second, and the server's processor time for a text, in milliseconds."""
    before, started = server.processor_seconds(), time.perf_counter()
    server.send(_due(lists), CONNECTIONS)
    seconds, computed = time.perf_counter() - started, server.processor_seconds() - before
    return len(lists) / seconds, computed * 1e3 / sum(map(len, lists))


def _due(lists: Lists) -> Iterator[Request]:
    for each in lists:
        yield time.perf_counter(), each


def _row(by_server: dict[str, list[tuple[float, float]]]) -> dict[str, Any]:
    """Medians of the rounds, and the ratio of processor time with a cache to that without, by its rounds."""
    rates = {name: statistics.median(rate for rate, _ in rounds) for name, rounds in by_server.items()}
    times = {name: [computed for _, computed in rounds] for name, rounds in by_server.items()}
    ratios = [after / before for before, after in zip(times["without"], times["with"], strict=True)]
    return {
        "requests/s": {name: stats.rounded(rate) for name, rate in rates.items()},
        "CPU ms a text": {name: stats.rounded(statistics.median(each)) for name, each in times.items()},
        "CPU ratio": stats.quartiles(ratios),
    }


if __name__ == "__main__":
    main()
