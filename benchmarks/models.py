"""Real models, a row each: sizes, what int8 leaves of them, and their speed beside PyTorch.

    python -m benchmarks.models [NAME ...] [--sts FILE.csv] [--rounds N] [--seconds S]

A NAME is a line of models.txt: a name on the hub, or a saved folder. Without one, those are measured whose
weights packages of the package index carry; where such a package cannot be had, its model is left out.
``python -m benchmarks.peers`` must have made PyTorch's environment. Spearman's correlation is over the pairs
of ``--sts``, which has the columns score, sentence1, sentence2. Engines take turns, a thread a core.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import engines, package_models, peers, quality, record, stats, texts, turns
from benchmarks.engines import OURS, PYTORCH, Engine, Worker
from embed_onnx.artifact import manifest, models_txt
from embed_onnx.artifact.manifest import Manifest
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.artifact.outputs import Sparse
from embed_onnx.artifact.parity import Fidelity
from embed_onnx_export.checkpoint import sources
from embed_onnx_export.report import environment

SHORT, MIXED = "1x8", "mixed"
COUNT = 200
"""Texts of mixed lengths."""
BATCH = 8
"""Of sentence-transformers, for sparse models."""
PACKAGED = [f"{name} {package_models.OPTIONS.get(name, '')}" for name in package_models.WRITERS]


def main() -> None:
    """Export, measure, and write results/models.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", default=PACKAGED)
    parser.add_argument("--sts", type=Path)
    turns.add_arguments(parser, rounds=5, seconds=1.0)
    arguments = parser.parse_args()
    rows = {}
    for entry in models_txt.of_command_line(arguments.names):
        try:
            rows[entry.name] = _row(entry, arguments)
        except package_models.PackageMissing as err:
            print(f"{entry.name} is left out: {err}")
            continue
        print(entry.name, rows[entry.name], flush=True)
    record.write("models", rows)


def _row(entry: Entry, arguments: argparse.Namespace) -> dict[str, Any]:
    """What is on record of a model.

    Raises:
        PackageMissing: Its package cannot be downloaded.
    """
    packaged = package_models.checkpoint(entry.name, peers.HOME / "models")
    checkpoint = packaged or sources.find(entry).folder
    with tempfile.TemporaryDirectory() as scratch:
        artifact = _export(checkpoint, entry, Path(scratch))
        described = manifest.read(artifact)
        row = {
            "megabytes": [
                round(size / 1e6, 1) for size in (described.float32_bytes, manifest.model_bytes(artifact))
            ],
            "cosine": _cosine(described),
        }
        if isinstance(described.output, Sparse):
            row |= {"entries": described.output.entries}
            pair = _engines(checkpoint, artifact, "sparse_", {"batch": BATCH})
        else:
            row |= {"dimensions": described.dense.dimensions}
            pair = _engines(checkpoint, artifact, "", {})
            if arguments.sts is not None:
                row["spearman"] = _spearman(pair, arguments.sts)
        return row | {"milliseconds": _speed(pair, arguments)}


def _engines(checkpoint: Path, artifact: Path, kind: str, options: dict[str, Any]) -> dict[str, Engine]:
    """PyTorch and ours, by workers of a kind."""
    threads = environment.describe().cores
    pytorch = {"folder": str(checkpoint), "threads": threads} | options
    return {
        PYTORCH: Engine(f"{kind}sentence.py", "sentence", pytorch),
        OURS: Engine(f"{kind}own.py", None, {"artifact": str(artifact), "threads": threads}),
    }


def _export(checkpoint: Path, entry: Entry, folder: Path) -> Path:
    """The artifact in ``folder`` of a checkpoint, by the command that people use."""
    line = f'"{checkpoint.absolute()}" name={entry.name.rpartition("/")[2]}'
    if entry.overrides.task is not None:
        line += f" task={entry.overrides.task}"
    command = [sys.executable, "-m", "embed_onnx", "export", "--model", line, "--artifacts", str(folder)]
    subprocess.run(command, check=True)
    return folder / entry.name.rpartition("/")[2]


def _cosine(described: Manifest) -> list[float]:
    """The mean and least cosine to the float32 original, by the kernels where they run it."""
    parity = described.measured(kernels=True) or described.measured(kernels=False)
    assert isinstance(parity, Fidelity)  # models that score are not measured here
    return [parity.cosine_mean, parity.cosine_min]


def _spearman(pair: dict[str, Engine], sts: Path) -> dict[str, float]:
    correlations = {}
    originals: dict[Path, np.ndarray] = {}
    for name, engine in pair.items():
        with Worker(engine) as worker, tempfile.TemporaryDirectory() as folder:
            correlations[name] = quality.sts(sts, quality.Encoder(worker, folder), originals)["spearman"]
    return correlations


def _speed(pair: dict[str, Engine], arguments: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds of a call: medians by engine, and the quartiles of their ratio round by round."""
    cells = {SHORT: texts.of_words(1, 6), MIXED: texts.mixed([], COUNT)}
    speeds: dict[str, Any] = {}
    with engines.started(pair) as workers:
        for cell, inputs in cells.items():
            rounds = list(turns.rounds(workers, inputs, arguments))
            speeds[cell] = {
                name: stats.rounded(1e3 * float(np.median([row[name] for row in rounds]))) for name in workers
            }
            speeds[cell]["ratio"] = stats.quartiles([row[PYTORCH] / row[OURS] for row in rounds])
    return speeds


if __name__ == "__main__":
    main()
