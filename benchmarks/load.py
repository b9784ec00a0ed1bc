"""Over HTTP: our server and others on the same model, in the same run.

    python -m benchmarks.load [--texts FILE ...] [--rounds N] [--seconds S]

``python -m benchmarks.peers`` must have run before. All servers are up; one of them runs at a time, in
turns, round after round. An open loop sends requests at a fixed rate, whatever the answers do, and counts a
latency from when a request was due; a closed loop sends the next one when the last is answered.
"""

import argparse
import contextlib
import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import engines, gate, peers, record, stats, texts
from benchmarks.engines import Worker
from benchmarks.servers import LLAMA, OPTIMUM, OURS, TORCH, Server
from benchmarks.traffic import Pool, Request, at_rate, closed
from embed_onnx_export.report import environment

CLOSED_CONNECTIONS = (1, 4, 16)
OPEN_CONNECTIONS = 64
BULK_CONNECTIONS = 2
BULK_TEXTS, LONG_BULK_TEXTS = 64, 512
QUERIES_A_SECOND = 10
PHASES_DURING_BULK = 4
"""Times as long as another phase, for a p99 of so few requests a second."""
IDLE, DURING = "one short text, idle", "one short text, during bulk"
BULK = "bulk, tokens/s"
CLOSED, OPEN = "closed loop of", "open loop,"
IN_PROCESS = "in process: "

Figures = defaultdict[str, defaultdict[str, list[Any]]]
"""What was measured, by phase and by server: an item a round."""


def main() -> None:
    """Measure, and write results/load.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=Path, nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="of a phase")
    parser.add_argument(
        "--rates", type=float, nargs="*", default=[10, 50, 100], help="of the open loop, a second"
    )
    names = [OURS, TORCH, OPTIMUM, LLAMA]
    parser.add_argument("--servers", nargs="*", default=names, choices=names)
    gate.add_argument(parser)
    arguments = parser.parse_args()

    here = environment.describe()
    rows = engines.engines(peers.SMALL, here.cores, here.instructions)
    pool = Pool(peers.cut(peers.SMALL, texts.mixed(arguments.texts, 2000)))
    latencies: Figures = defaultdict(lambda: defaultdict(list))
    rates: Figures = defaultdict(lambda: defaultdict(list))
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(Server(name)) for name in arguments.servers}
        for server in servers.values():
            server.sleep()
        workers = {name: stack.enter_context(Worker(rows[name])) for name in (engines.OURS, engines.PYTORCH)}
        for _ in range(arguments.rounds):
            for name, worker in workers.items():
                _measure_worker(IN_PROCESS + name, worker, pool, arguments, latencies, rates)
            for name, server in servers.items():
                with server.awake():
                    _measure_server(name, server, pool, arguments, latencies, rates)
    results = {
        "latency_ms": summary(latencies, stats.latencies),
        "rate": summary(rates, stats.quartiles),
        "engines": {name: worker.versions for name, worker in workers.items()},
    }
    show(results)
    record.write("load", {"rounds": arguments.rounds, "seconds": arguments.seconds} | results)


def _measure_worker(
    name: str, worker: Worker, pool: Pool, arguments: argparse.Namespace, latencies: Figures, rates: Figures
) -> None:
    """One short text after the other, and a long list."""
    (short,) = itertools.islice(pool.short(), 1)
    gate.wait(arguments.gate)
    latencies[IDLE][name].append(worker.time(short, arguments.seconds))
    inputs, tokens = next(pool.lists(BULK_TEXTS * 4))
    gate.wait(arguments.gate)
    times = worker.time(inputs, arguments.seconds)
    rates[BULK][name].append(tokens * len(times) / sum(times))


def _measure_server(
    name: str, server: Server, pool: Pool, arguments: argparse.Namespace, latencies: Figures, rates: Figures
) -> None:
    """Every phase once."""
    seconds = arguments.seconds
    gate.wait(arguments.gate)
    latencies[IDLE][name].append(server.send(closed(pool.short(), seconds), 1))
    for connections in CLOSED_CONNECTIONS:
        gate.wait(arguments.gate)
        rate, taken = closed_loop(server, pool.lists(1), connections, seconds)
        rates[f"{CLOSED} {connections}, tokens/s"][name].append(rate)
        latencies[f"{CLOSED} {connections}"][name].append(taken)
    for rate in arguments.rates:
        gate.wait(arguments.gate)
        taken = server.send(at_rate(pool.singles(), rate, seconds), OPEN_CONNECTIONS)
        latencies[f"{OPEN} {rate:g}/s"][name].append(taken)
    gate.wait(arguments.gate)
    rates[BULK][name].append(bulk(server, pool, seconds))
    gate.wait(arguments.gate)
    latencies[DURING][name].append(_during_bulk(server, pool, PHASES_DURING_BULK * seconds))


def bulk(server: Server, pool: Pool, seconds: float) -> float:
    """Tokens a second of lists of 64 texts over two connections."""
    return closed_loop(server, pool.lists(BULK_TEXTS), BULK_CONNECTIONS, seconds)[0]


def closed_loop(
    server: Server, lists: Iterator[tuple[list[str], int]], connections: int, seconds: float
) -> tuple[float, list[float]]:
    """Lists with their tokens, one after the other over each connection: tokens a second, and latencies.

    A faster server is sent more of the texts, so requests a second would not compare.
    """
    counts: list[int] = []

    def counted() -> Iterator[list[str]]:
        for inputs, tokens in lists:
            counts.append(tokens)
            yield inputs

    started = time.perf_counter()
    taken = server.send(closed(counted(), seconds), connections)
    return sum(counts) / (time.perf_counter() - started), taken


def _during_bulk(server: Server, pool: Pool, seconds: float) -> list[float]:
    """Single short texts while two connections send lists of 512."""
    over = threading.Event()

    def until_over() -> Iterator[Request]:
        for inputs, _ in pool.lists(LONG_BULK_TEXTS):
            if over.is_set():
                return
            yield time.perf_counter(), inputs

    sending = threading.Thread(target=server.send, args=(until_over(), BULK_CONNECTIONS))
    sending.start()
    time.sleep(1)
    try:
        return server.send(at_rate(pool.short(), QUERIES_A_SECOND, seconds), OPEN_CONNECTIONS)
    finally:
        over.set()
        sending.join()


def summary(figures: Figures, over: Any) -> dict[str, dict[str, Any]]:
    """Each row's rounds as one figure."""
    return {phase: {name: over(rounds) for name, rounds in row.items()} for phase, row in figures.items()}


def show(results: dict[str, Any]) -> None:
    """Print every row."""
    for phase, row in results["latency_ms"].items():
        for name, one in row.items():
            print(f"{phase:32}{name:44}p50 {one['p50']:8} p95 {one['p95']:8} p99 {one['p99']:8} ms")
    for phase, row in results["rate"].items():
        for name, (_, median, _) in row.items():
            print(f"{phase:32}{name:44}{median:12,.1f}")


if __name__ == "__main__":
    main()
