"""Files against the engine alone: ``embed-onnx embed`` and the same texts in process, in the same run.

    python -m benchmarks.bulk --artifacts FOLDER [--texts FILE ...] [--count N] [--rounds N]

In process is a model that is loaded, asked for lists of 128 texts by so many threads that no lane ever waits.
A run of the command is timed from its first block to its last, as the command says itself; starting and
loading a model take another moment. They take turns, round after round, and ratios are taken round by round.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks import record, stats, texts
from embed_onnx import Model
from embed_onnx.models.options import Options
from embed_onnx.system import cpu

MODEL = "all-MiniLM-L6-v2"
KINDS = (".npy", ".jsonl", ".parquet")
IN_PROCESS = "in process"
LIST = 128
THREADS_BESIDE = 4
"""Callers besides one a lane, so that texts are tokenized while others are embedded."""


def main() -> None:
    """Measure, and write results/bulk.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"))
    parser.add_argument("--texts", type=Path, nargs="*", default=[])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    lines = texts.mixed(arguments.texts, arguments.count)
    rates: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, Model.load(arguments.artifacts / MODEL) as model:
        source = Path(folder) / "texts.txt"
        source.write_text("".join(f"{text}\n" for text in lines), encoding="utf-8")
        _in_process(model, lines[:200])  # not counted: caches, lazy allocations
        for _ in range(arguments.rounds):
            started = time.perf_counter()
            tokens = _in_process(model, lines)
            rates[IN_PROCESS].append(tokens / (time.perf_counter() - started))
            for kind in KINDS:
                rates[kind].append(_run(source, arguments.artifacts, kind))
    ratios = {kind: stats.quartiles(np.array(rates[kind]) / np.array(rates[IN_PROCESS])) for kind in KINDS}
    results = {
        "texts": len(lines),
        "tokens": tokens,
        "rounds": arguments.rounds,
        "tokens_per_second": {name: stats.quartiles(values) for name, values in rates.items()},
        "ratio": ratios,
    }
    for name, (_, median, _) in results["tokens_per_second"].items():
        print(f"{name:12}{median:12,.0f} tokens/s  {ratios.get(name, '')}")
    record.write("bulk", results)


def _in_process(model: Model, lines: list[str]) -> int:
    """Embed all texts; their tokens."""
    lists = [lines[start : start + LIST] for start in range(0, len(lines), LIST)]
    with ThreadPoolExecutor(cpu.usable_cores() + THREADS_BESIDE) as callers:
        return sum(callers.map(lambda some: model.embed_now(some, Options()).num_tokens, lists))


def command(source: Path, output: Path, artifacts: Path, *flags: str) -> list[str]:
    """``embed-onnx embed`` with the model that is measured."""
    # No models file: every artifact in the folder can be asked for.
    which = ["--model", MODEL, "--artifacts", str(artifacts), "--models", str(artifacts / "none")]
    return [sys.executable, "-m", "embed_onnx", "embed", str(source), "-o", str(output), *which, *flags]


def _run(source: Path, artifacts: Path, kind: str) -> float:
    """Tokens a second of one run of the command."""
    output = source.with_name(f"vectors{kind}")
    done = subprocess.run(
        command(source, output, artifacts, "--force"), capture_output=True, text=True, check=True
    )
    rate = re.search(r"([\d,]+) tokens/s\n", done.stderr)
    assert rate, done.stderr
    return float(rate[1].replace(",", ""))


if __name__ == "__main__":
    main()
