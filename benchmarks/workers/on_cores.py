"""embed-onnx on some cores of a machine: ``on_cores.py ARTIFACT OPTIONS < MIXED_TEXTS``.

Options are a JSON object, and so is what it prints: tokens a second of two kinds of lists, milliseconds of
one short text, what the interpreter takes of a pack, and the memory's bandwidth.
"""

import json
import os
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import texts
from embed_onnx import Model
from embed_onnx.engine import encoder

MEGABYTES = 256
"""Of an array that no cache holds."""


class Runs:
    """What ONNX Runtime's part of the packs took: their number, their tokens, and the processor's seconds."""

    def __init__(self) -> None:
        self.packs = self.tokens = 0
        self.seconds = 0.0
        self._lock, self._run = threading.Lock(), encoder._run
        encoder._run = self  # type: ignore[assignment]

    def __call__(self, session: Any, inputs: Any) -> Any:
        """Run a pack as before."""
        started = time.thread_time()
        states = self._run(session, inputs)
        with self._lock:
            self.packs += 1
            self.tokens += states.shape[1]
            self.seconds += time.thread_time() - started
        return states


def main(artifact: str, options: str) -> None:
    """Measure each, for so many seconds, on so many lanes, within a group's quota if there is one."""
    mixed, settings = sys.stdin.read().splitlines(), json.loads(options)
    os.sched_setaffinity(0, settings["cores"])
    if settings["group"]:
        (Path(settings["group"]) / "cgroup.procs").write_text(str(os.getpid()))
    lanes, seconds = settings["lanes"], settings["seconds"]
    with Model.load(artifact, threads=lanes) as model:
        model.encode(mixed)  # not counted
        short = _times(model, texts.of_words(1, 6), seconds)
        equal = texts.of_words(16, 62)
        rates = {"16x64": 16 * 64 / statistics.median(_times(model, equal, seconds))}
        runs, cpu = Runs(), time.process_time()
        times = _times(model, mixed, seconds)
        around = time.process_time() - cpu - runs.seconds
    figures = {
        "rates": rates | {"mixed": runs.tokens / sum(times)},
        "1x8, ms": statistics.median(short) * 1e3,
        "tokens a pack": runs.tokens / runs.packs,
        "interpreter, s a pack": around / runs.packs,
        "bandwidth, GB/s": _bandwidth(lanes, seconds),
    }
    print(json.dumps(figures))


def _times(model: Model, inputs: list[str], seconds: float) -> list[float]:
    times: list[float] = []
    while sum(times) < seconds:
        started = time.perf_counter()
        model.encode(inputs)
        times.append(time.perf_counter() - started)
    return times


def _bandwidth(threads: int, seconds: float) -> float:
    """What so many threads read from memory, in gigabytes a second."""
    count = MEGABYTES * 1_000_000 // 4
    read = [0] * threads

    def reader(place: int) -> None:
        array = np.ones(count, np.float32)
        ready.wait()
        while time.perf_counter() < end[0]:
            np.dot(array, array)
            read[place] += array.nbytes

    end = [0.0]
    ready = threading.Barrier(threads, lambda: end.__setitem__(0, time.perf_counter() + seconds))
    workers = [threading.Thread(target=reader, args=(place,)) for place in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(read) / seconds / 1e9


if __name__ == "__main__":
    main(*sys.argv[1:])
