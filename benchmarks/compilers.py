"""Whether a compiler makes the kernels as fast as another, and gives the same bits.

    python -m benchmarks.compilers --artifact FOLDER --compiler g++ --compiler clang++
    python -m benchmarks.compilers --artifact FOLDER --compiler g++ --compiler "zig c++@x86_64-linux-gnu.2.17"

What comes after an @ is the target, as wheels are built for one.

Each build is loaded into one process and takes its turn with the others, on one thread. A figure is the time
of the first compiler divided by that of another: below 1, the other is slower.
"""

import argparse
import ctypes
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from benchmarks import record
from embed_onnx.engine.kernels import build

CELLS = {"1x8": [8], "1x32": [32], "1x128": [128], "12x16": [16] * 12, "3x64": [64] * 3, "1x256": [256]}
"""Lengths of the sequences of a pack."""
LEAST_SECONDS = 0.05
"""Of one turn."""

Feed = dict[str, NDArray[np.int64]]
Sessions = dict[str, ort.InferenceSession]
"""By compiler."""


def main() -> None:
    """Build, measure, and write results/compilers.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--compiler", action="append", required=True)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        libraries: dict[str, Path] = {}
        for number, compiler in enumerate(arguments.compiler):
            libraries[compiler] = Path(folder) / f"kernels-{number}.so"
            command, _, target = compiler.partition("@")
            build.build(libraries[compiler], compiler=command, target=target)
        for instruction_set in build.INSTRUCTION_SETS[platform.machine()]:
            sessions = _sessions(arguments.artifact / "model.onnx", libraries, instruction_set)
            if sessions:
                rows[instruction_set] = {
                    cell: _ratios(sessions, _feed(sessions, lengths), arguments.rounds)
                    for cell, lengths in CELLS.items()
                }
    for instruction_set, cells in rows.items():
        for cell, ratios in cells.items():
            print(f"{instruction_set:10} {cell:6}", "  ".join(f"{ratio:.3f}" for ratio in ratios.values()))
    record.write("compilers", rows)


def _sessions(path: Path, libraries: dict[str, Path], instruction_set: str) -> Sessions:
    """None of them if the processor lacks the instruction set."""
    sessions: Sessions = {}
    for compiler, library in libraries.items():
        if not ctypes.CDLL(str(library)).embed_onnx_choose(instruction_set.encode()):
            return {}
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.register_custom_ops_library(str(library))
        sessions[compiler] = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return sessions


def _feed(sessions: Sessions, lengths: list[int]) -> Feed:
    ids = np.random.default_rng(0).integers(5, 20_000, (1, sum(lengths)))
    mask = np.repeat(np.arange(1, len(lengths) + 1), lengths)[None]
    feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    names = [argument.name for argument in next(iter(sessions.values())).get_inputs()]
    return {name: feed[name] for name in names}


def _ratios(sessions: Sessions, feed: Feed, rounds: int) -> dict[str, float]:
    """By compiler the median of the ratios of the first one's time to its own.

    Raises:
        SystemExit: Two compilers give different bits.
    """
    first, *others = [session.run(None, feed)[0] for session in sessions.values()]
    if any(first.tobytes() != other.tobytes() for other in others):
        raise SystemExit("the compilers give different bits")
    runs = max(1, round(LEAST_SECONDS / _seconds(next(iter(sessions.values())), feed, 1)))
    ratios: dict[str, list[float]] = {compiler: [] for compiler in sessions}
    for number in range(rounds):
        order = list(sessions) if number % 2 else list(reversed(sessions))
        seconds = {compiler: _seconds(sessions[compiler], feed, runs) for compiler in order}
        for compiler in sessions:
            ratios[compiler].append(seconds[next(iter(sessions))] / seconds[compiler])
    return {compiler: round(statistics.median(values), 3) for compiler, values in ratios.items()}


def _seconds(session: ort.InferenceSession, feed: Feed, runs: int) -> float:
    """Of this thread, which does all the work."""
    start = time.thread_time()
    for _ in range(runs):
        session.run(None, feed)
    return time.thread_time() - start


if __name__ == "__main__":
    main()
