"""What is left of the float32 original: cosine to it, STS correlation, retrieval.

    python -m benchmarks.quality [--sts FILE.csv ...] [--retrieval FOLDER ...]

``python -m benchmarks.peers`` must have run before. STS files have the columns score, sentence1, sentence2; a
retrieval folder is in BEIR's layout. ``alone`` compares texts sent alone with the same texts in their list.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import engines, peers, record, stats
from benchmarks.engines import AVX2, PYTORCH, Worker
from embed_onnx_export import similarity
from embed_onnx_export.report import datasets, environment, scores

KINDS = ("sts", "retrieval")
ALONE_TEXTS = 100

Vectors = np.ndarray
"""Unit vectors, float32 [texts, dimensions]."""


class Encoder:
    """A worker's vectors by text."""

    def __init__(self, worker: Worker, folder: str) -> None:
        self._worker, self._path = worker, Path(folder) / "vectors.npy"

    def __call__(self, inputs: list[str]) -> Vectors:
        """Vectors of a list of texts."""
        return self._worker.vectors(inputs, self._path)


def main() -> None:
    """Measure, and write results/quality.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sts", type=Path, nargs="+", required=True)
    parser.add_argument("--retrieval", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()

    here = environment.describe()
    rows = engines.engines(peers.SMALL, here.cores, here.instructions)
    results: dict[str, Any] = {"megabytes": _megabytes(), "sts": {}, "retrieval": {}}
    originals: dict[Path, Vectors] = {}
    for name in [PYTORCH, *(name for name in rows if name not in (PYTORCH, AVX2))]:
        with Worker(rows[name]) as worker, tempfile.TemporaryDirectory() as folder:
            encode = Encoder(worker, folder)
            for path in arguments.sts:
                results["sts"].setdefault(path.stem, {})[name] = sts(path, encode, originals)
            for path in arguments.retrieval:
                results["retrieval"].setdefault(path.name, {})[name] = {"ndcg@10": _retrieval(path, encode)}
        print(name, *(row[name] for kind in KINDS for row in results[kind].values()), sep="\n  ")
    record.write("quality", results)


def _megabytes() -> dict[str, float]:
    """The model file's size, and that of the original."""
    ours, original = (
        peers.artifact(peers.SMALL) / "model.onnx",
        peers.checkpoint(peers.SMALL) / "model.safetensors",
    )
    return {"int8": round(ours.stat().st_size / 1e6, 1), "float32": round(original.stat().st_size / 1e6, 1)}


def sts(path: Path, encode: Callable[[list[str]], Vectors], originals: dict[Path, Vectors]) -> dict[str, Any]:
    """Spearman's correlation, and cosines to the vectors of the first engine that was asked."""
    pairs = datasets.read_pairs(path)
    places = {text: place for place, text in enumerate(dict.fromkeys([*pairs.first, *pairs.second]))}
    vectors = encode(list(places))
    original = originals.setdefault(path, vectors)
    left, right = (vectors[[places[text] for text in side]] for side in (pairs.first, pairs.second))
    alone = np.concatenate([encode([text]) for text in list(places)[:ALONE_TEXTS]])
    return {
        "spearman": stats.rounded(100 * scores.spearman(similarity.cosines(left, right), pairs.scores)),
        "cosine": _cosines(vectors, original),
        "alone": _cosines(vectors[:ALONE_TEXTS], alone),
    }


def _cosines(left: Vectors, right: Vectors) -> dict[str, Any]:
    cosines = similarity.cosines(left, right)
    values = {"mean": cosines.mean(), "percent_1": np.percentile(cosines, 1), "min": cosines.min()}
    return {name: round(float(value), 5) for name, value in values.items()} | {
        "equal": bool((left == right).all())
    }


def _retrieval(folder: Path, encode: Encoder) -> float:
    """nDCG@10 of the queries that have a judgement."""
    task = datasets.read_retrieval(folder)
    ranked = scores.nearest(encode(task.queries), encode(task.documents), task.same)
    return stats.rounded(scores.ndcg(ranked, task.gains))


if __name__ == "__main__":
    main()
