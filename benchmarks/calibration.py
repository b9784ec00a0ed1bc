"""What calibration takes off int8's error: all-MiniLM-L6-v2 in int8, made in several ways, beside float32.

    python -m benchmarks.calibration --sts FILE.csv [--retrieval FOLDER ...] [--texts FILE ...]
                                     [--calibrate FILE ...]

Every way is measured on the same texts: an STS file (score, sentence1, sentence2), retrieval folders in
BEIR's layout, files of one text a line, and the package's own messages of a word or a few. ``--calibrate``
are other texts to calibrate on, one a line, which show how much depends on them. PyTorch is not needed.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from benchmarks import quality, record, stats
from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import Facts
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.engine import native
from embed_onnx.engine.encoder import Encoder
from embed_onnx.engine.inference import Inference
from embed_onnx.engine.outputs.dense import DenseFinish
from embed_onnx.engine.sequence import TokenSequence
from embed_onnx.models.tokenizer import Tokenizer
from embed_onnx_export import calibration, parity, similarity
from embed_onnx_export.calibration import Texts
from embed_onnx_export.checkpoint import files, modules, sources
from embed_onnx_export.graph.bert import calibration as bert_calibration
from embed_onnx_export.graph.bert import encoder_graph, families, products
from embed_onnx_export.graph.bert.products import LayerProducts
from embed_onnx_export.report import datasets, scores
from embed_onnx_export.run import export_all

MODEL = "all-MiniLM-L6-v2"
ORIGINAL, NEAREST, OWN = "float32", "int8, rounded to the nearest", "int8, calibrated on the package's texts"
OPERATORS = f"{OWN}, standard operators"
Embed = Callable[[list[str]], quality.Vectors]


def main() -> None:
    """Measure, and write results/calibration.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sts", type=Path, required=True)
    for name in ("--retrieval", "--texts", "--calibrate"):
        parser.add_argument(name, type=Path, nargs="*", default=[])
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch:
        model = _Model(Path(scratch))
        measure = _Measure(model, arguments.sts, arguments.retrieval, arguments.texts)
        results = {ORIGINAL: measure(model.float32())}
        nearest = [products.nearest(layer) for layer in model.encoder.layers]
        results[NEAREST] = measure(model.int8(nearest))
        own = model.calibrated(calibration.default())
        results[OWN] = measure(model.int8(own))
        results[OPERATORS] = measure(model.int8(own, "off"))
        for path in arguments.calibrate:
            name = f"int8, calibrated on {path.stem}"
            results[name] = measure(model.int8(model.calibrated(calibration.read(path))))
    record.write("calibration", results)


class _Model:
    """The model in a folder: its artifact as it is exported, and other files in the place of its own."""

    def __init__(self, folder: Path) -> None:
        entry = Entry(name=MODEL, repo=f"sentence-transformers/{MODEL}")
        (export,) = export_all([entry], folder, force=True)
        self._facts, self._file = export.manifest, folder / "changed.onnx"
        self._tokenizer = Tokenizer(folder / MODEL / manifest.TOKENIZER, max_tokens=self._facts.max_tokens)
        checkpoint = sources.find(entry)
        original = files.read(checkpoint, modules.read(checkpoint))
        assert isinstance(original.states, families.Encoder)
        self.encoder = original.states
        self.messages = parity.messages(original.description.tokenizer)

    def calibrated(self, texts: Texts) -> list[LayerProducts]:
        """The products of its layers for sample texts."""
        ids = calibration.token_ids(texts, self._tokenizer, [])
        return bert_calibration.calibrate(self.encoder, ids)

    def float32(self) -> Embed:
        """Vectors of the weights as they are."""
        encoder_graph.write_float32(self.encoder, self._file)
        facts = replace(self._facts, precision="float32", quantization=None, packed=False)
        return self._opened(facts, "off")

    def int8(self, layers: list[LayerProducts], kernels: str = "auto") -> Embed:
        """Vectors of these products."""
        encoder_graph.write(self.encoder, layers, self._file)
        return self._opened(self._facts, kernels)

    def _opened(self, facts: Facts, kernels: str) -> Embed:
        encoder = Encoder(self._file, facts, native.find(kernels))
        inference = Inference(encoder, DenseFinish(facts.output, encoder.through_head))
        return lambda texts: np.stack(
            [inference.run([TokenSequence(item.ids)])[0] for item in self._tokenizer.encode(texts)]
        )


class _Measure:
    """Figures of a way; cosines are to the vectors of the first that is measured."""

    def __init__(self, model: _Model, sts: Path, retrieval: list[Path], texts: list[Path]) -> None:
        self._pairs, self._pairs_name = datasets.read_pairs(sts), sts.stem
        self._tasks = {path.name: datasets.read_retrieval(path) for path in retrieval}
        self._texts = {
            self._pairs_name: [*dict.fromkeys([*self._pairs.first, *self._pairs.second])],
            **{path.stem: path.read_text(encoding="utf-8").splitlines() for path in texts},
            "messages": model.messages,
        }
        self._originals: dict[str, quality.Vectors] = {}

    def __call__(self, embed: Embed) -> dict[str, Any]:
        vectors = {name: embed(texts) for name, texts in self._texts.items()}
        results = {
            "spearman": self._spearman(vectors[self._pairs_name]),
            "ndcg@10": {name: self._ndcg(task, embed) for name, task in self._tasks.items()},
            "cosine": {name: self._cosines(name, rows) for name, rows in vectors.items()},
        }
        print(results, flush=True)
        return results

    def _spearman(self, vectors: quality.Vectors) -> float:
        places = {text: place for place, text in enumerate(self._texts[self._pairs_name])}
        sides = (self._pairs.first, self._pairs.second)
        left, right = (vectors[[places[text] for text in side]] for side in sides)
        return stats.rounded(100 * scores.spearman(similarity.cosines(left, right), self._pairs.scores))

    def _ndcg(self, task: datasets.Retrieval, embed: Embed) -> float:
        ranked = scores.nearest(embed(task.queries), embed(task.documents), task.same)
        return stats.rounded(100 * scores.ndcg(ranked, task.gains))

    def _cosines(self, name: str, vectors: quality.Vectors) -> dict[str, Any]:
        cosines = similarity.cosines(vectors, self._originals.setdefault(name, vectors))
        return {
            "texts": len(cosines),
            "mean": round(float(cosines.mean()), 5),
            "min": round(float(cosines.min()), 5),
        }


if __name__ == "__main__":
    main()
