"""Speed in process: our engine and its peers, over a grid of shapes and over mixed lengths.

    python -m benchmarks.speed [--texts FILE ...] [--rounds N] [--seconds S]

``python -m benchmarks.peers`` must have run before. Every engine is a process of its own, with a thread a
core. They work in turns, round after round, each for so many seconds; ratios are taken round by round, so
that they do not depend on the spells of the machine. A cell of the grid is texts x tokens.
"""

import argparse
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import engines, gate, peers, record, stats, texts, turns
from benchmarks.engines import OURS, Worker
from embed_onnx.engine import native
from embed_onnx_export.report import environment

GRIDS = {
    peers.SMALL: ((1, 8), (1, 32), (1, 128), (16, 16), (16, 64), (32, 128)),
    peers.BASE: ((1, 8), (1, 32), (1, 128), (16, 64)),
}
MIXED = "mixed"
PEAK_SECONDS = 0.5

Rounds = dict[str, list[float]]
"""The median of each round, by engine."""


def main() -> None:
    """Measure, and write results/speed.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=Path, nargs="*", default=[])
    parser.add_argument("--count", type=int, default=400, help="texts of mixed lengths")
    parser.add_argument("--models", nargs="*", default=list(GRIDS), choices=list(GRIDS))
    parser.add_argument(
        "--engines", nargs="*", default=[""], help="ours, and those with one of these in the name"
    )
    turns.add_arguments(parser, rounds=7, seconds=1.0)
    arguments = parser.parse_args()

    here = environment.describe()
    results: dict[str, Any] = {"rounds": arguments.rounds, "seconds": arguments.seconds, "models": {}}
    versions: dict[str, dict[str, str]] = {}
    for model in arguments.models:
        rows = engines.engines(model, here.cores, here.instructions)
        if model == peers.SMALL:
            rows |= engines.static_table()
        engine_rows = {
            name: row
            for name, row in rows.items()
            if name == OURS or any(part in name for part in arguments.engines)
        }
        with engines.started(engine_rows) as workers:
            versions |= {name: worker.versions for name, worker in workers.items()}
            results["models"][model] = _measure(model, workers, arguments)
    record.write("speed", results | {"engines": versions})


def _measure(model: str, workers: dict[str, Worker], arguments: argparse.Namespace) -> dict[str, Any]:
    macs = macs_a_token(model)
    cells = {}
    for cell, inputs in _cells(model, arguments):
        tokens = sum(peers.token_counts(model, inputs))
        taken, peaks = _rounds(workers, inputs, arguments)
        cells[cell] = {"texts": len(inputs), "tokens": tokens, "engines": _summary(taken, tokens)}
        cells[cell] |= _share(taken[OURS], tokens * macs, peaks)
        print(f"{model}, {cell}, {tokens} tokens, share of peak {cells[cell]['int8_share']}")
        for name, row in cells[cell]["engines"].items():
            (_, ms, _), (_, rate, _) = row["ms"], row["tokens_per_second"]
            print(f"  {name:48}{ms:10} ms {rate:10,.0f} tokens/s  {row['ratio']}")
    return {"macs_per_token": macs, "cells": cells}


def _cells(model: str, arguments: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    for count, tokens in GRIDS[model]:
        yield f"{count}x{tokens}", texts.of_words(count, tokens - 2)  # two special tokens are added
    yield (
        MIXED,
        texts.mixed(arguments.texts, arguments.count if model == peers.SMALL else arguments.count // 8),
    )


def _rounds(
    workers: dict[str, Worker], inputs: list[str], arguments: argparse.Namespace
) -> tuple[Rounds, list[float]]:
    taken: Rounds = {name: [] for name in workers}
    peaks = []
    cores = environment.describe().cores
    for medians in turns.rounds(workers, inputs, arguments):
        for name, median in medians.items():
            taken[name].append(median)
        gate.wait(arguments.gate)
        peaks.append(int8_peak(cores))
    return taken, [value for value in peaks if value is not None]


def int8_peak(cores: int) -> float | None:
    """Multiply-adds a second of so many cores at once; None without kernels."""
    with ThreadPoolExecutor(cores) as threads:
        peaks = list(threads.map(native.int8_peak, [PEAK_SECONDS] * cores))
    return None if None in peaks else float(sum(peaks))


def _summary(taken: Rounds, tokens: int) -> dict[str, Any]:
    """``ratio``: how many times as long as ours an engine takes."""
    return {
        name: {
            "ms": stats.quartiles(np.array(times) * 1e3),
            "tokens_per_second": stats.quartiles(tokens / np.array(times)),
            "ratio": stats.quartiles(np.array(times) / np.array(taken[OURS])),
        }
        for name, times in taken.items()
    }


def _share(ours: list[float], macs: int, peaks: list[float]) -> dict[str, Any]:
    """Multiply-adds of linear layers, over what all cores can do at most: quartiles, None if unknown."""
    share = stats.quartiles(macs / np.array(ours) / np.array(peaks)) if peaks else None
    return {"int8_share": share, "int8_peak_gmacs": stats.quartiles(np.array(peaks) / 1e9) if peaks else None}


def macs_a_token(model: str) -> int:
    """Of the linear layers alone, whose weights are as many: attention itself depends on the length."""
    config = json.loads((peers.checkpoint(model) / "config.json").read_text())
    width, inner = config["hidden_size"], config["intermediate_size"]
    return int(config["num_hidden_layers"] * (4 * width * width + 2 * width * inner))


if __name__ == "__main__":
    main()
