"""A server's life: seconds from the command to its first answer, and memory after mixed requests.

    python -m benchmarks.server [--texts FILE ...] [--requests N] [--connections N]

Requests are a single text (half of them) or lists of up to 16 texts, over so many connections at once.
"""

import argparse
import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import record, texts
from benchmarks.servers import OURS, Server
from benchmarks.traffic import Request


def main() -> None:
    """Measure, and write results/server.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=Path, nargs="*", default=[])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--starts", type=int, default=5)
    arguments = parser.parse_args()

    starts = [_start_and_stop() for _ in range(arguments.starts)]
    with Server(OURS) as server:
        before = server.resident_mb()
        server.send(_mixed(arguments), arguments.connections)
        after = server.resident_mb()
    rows = {
        "seconds to the first answer, median": round(statistics.median(starts), 2),
        "seconds to the first answer, max": round(max(starts), 2),
        "resident MB when ready": round(before),
        f"resident MB after {arguments.requests:,} mixed requests": round(after),
    }
    for name, value in rows.items():
        print(f"{name:48}{value}")
    record.write("server", rows)


def _start_and_stop() -> float:
    with Server(OURS) as server:
        return server.start_seconds


def _mixed(arguments: argparse.Namespace) -> Iterator[Request]:
    rng = random.Random(0)
    pool = texts.mixed(arguments.texts, 2000)
    for _ in range(arguments.requests):
        size = 1 if rng.random() < 0.5 else rng.randint(2, 16)
        yield time.perf_counter(), rng.choices(pool, k=size)


if __name__ == "__main__":
    main()
