"""Engines in turns, round after round: ratios within a round do not depend on the spells of the machine."""

import argparse
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from benchmarks import gate, stats
from benchmarks.engines import OURS, Worker

PAUSE = 0.05
"""Threads of the engine before may spin for a moment."""
TRIES = 3
DISTURBED, TICKS = 0.08, 0.03
"""What others may take of the processor in a turn: of its seconds, and seconds more for coarse clocks."""


def add_arguments(parser: argparse.ArgumentParser, *, rounds: int, seconds: float) -> None:
    """The options that ``rounds`` reads, with these defaults."""
    parser.add_argument("--rounds", type=int, default=rounds)
    help_text = "of an engine's turn; one call at least"
    parser.add_argument("--seconds", type=float, default=seconds, help=help_text)
    gate.add_argument(parser)


def rounds(
    workers: Mapping[str, Worker], inputs: list[str], arguments: argparse.Namespace
) -> Iterator[dict[str, float]]:
    """The median seconds of a call in the turn of each engine, a round at a time.

    ``arguments`` are those of ``add_arguments``.
    """
    names = list(workers)
    for worker in workers.values():
        gate.wait(arguments.gate)
        worker.time(inputs, 0)  # not counted: caches, lazy allocations
    for turn in range(arguments.rounds):
        first = turn % len(names)
        yield {name: _undisturbed(workers[name], inputs, arguments) for name in names[first:] + names[:first]}


def compare(
    cell: str, inputs: list[str], workers: Mapping[str, Worker], arguments: argparse.Namespace
) -> dict[str, Any]:
    """Quartiles of milliseconds; ``ratio``: how many times as long as ours an engine takes."""
    taken: dict[str, list[float]] = {name: [] for name in workers}
    for medians in rounds(workers, inputs, arguments):
        for name, median in medians.items():
            taken[name].append(median)
    rows = {
        name: {
            "ms": stats.quartiles(np.array(times) * 1e3),
            "ratio": stats.quartiles(np.array(times) / np.array(taken[OURS])),
        }
        for name, times in taken.items()
    }
    print(cell, rows, flush=True)
    return rows


def _undisturbed(worker: Worker, inputs: list[str], arguments: argparse.Namespace) -> float:
    """The median of a turn; with a gate, of the first one in which others took little of the processor."""
    for _ in range(TRIES):
        gate.wait(arguments.gate)
        time.sleep(PAUSE)
        started, own, busy = time.perf_counter(), worker.processor_seconds(), gate.busy_seconds()
        median = float(np.median(worker.time(inputs, arguments.seconds)))
        others = gate.busy_seconds() - busy - (worker.processor_seconds() - own)
        if arguments.gate is None or others < DISTURBED * (time.perf_counter() - started) + TICKS:
            break
    return median
