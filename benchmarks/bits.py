"""How many bits make int8 exact and accurate on every CPU: all-MiniLM-L6-v2, quantised in several ways.

    python -m benchmarks.bits --sts FILE.csv

``python -m benchmarks.peers`` must have run before. All ways round weights to the nearest; what ``export``
adds to the last of them is measured by ``benchmarks.calibration``. The native kernels give tokens 8 bits,
whatever the file's own functions do.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import numpy_helper, parser
from sentence_transformers import SentenceTransformer

from benchmarks import peers, quality, record
from embed_onnx.artifact import manifest
from embed_onnx.engine import native
from embed_onnx.engine.encoder import Encoder
from embed_onnx.engine.inference import Inference
from embed_onnx.engine.outputs.dense import DenseFinish
from embed_onnx.engine.sequence import TokenSequence
from embed_onnx.models.tokenizer import Tokenizer
from embed_onnx_export.graph import int8
from embed_onnx_export.graph.bert import encoder_graph, families, functions

ORIGINAL = "PyTorch, float32"
OPERATORS, KERNELS = "standard operators", "kernels"


class Way(NamedTuple):
    """The steps of a token's range; the largest weight, or None for the limit on pairs."""

    steps: int
    largest: int | None = None


WAYS = {
    "weights of 8 bits, tokens of 7": Way(127, 127),
    "weights of 7 bits, tokens of 8": Way(255, 64),
    "weights of 8 bits, tokens of 8": Way(255, 127),
    "weights of 8 bits with a limit for pairs, tokens of 8": Way(255),
}


def main() -> None:
    """Measure, and write results/bits.json."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--sts", type=Path, required=True)
    path = arguments.parse_args().sts
    torch = SentenceTransformer(str(peers.checkpoint(peers.SMALL)), device="cpu")
    originals: dict[Path, quality.Vectors] = {}
    rows: dict[str, Any] = {ORIGINAL: {OPERATORS: quality.sts(path, torch.encode, originals)}}
    model = torch[0].auto_model
    arrays = {name: parameter.detach().numpy() for name, parameter in model.named_parameters()}
    encoder = families.read(model.config.to_dict(), arrays, strict=False)
    with tempfile.TemporaryDirectory() as folder:
        for name, way in WAYS.items():
            file = Path(folder) / manifest.MODEL
            onnx.save(build(encoder, way), file)
            for engine, kernels in ((OPERATORS, "off"), (KERNELS, "auto")):
                encode = Artifact(file, native.find(kernels))
                rows.setdefault(name, {})[engine] = quality.sts(path, encode, originals)
            print(name, *rows[name].items(), sep="\n  ", flush=True)
    record.write("bits", rows)


def build(encoder: families.Encoder, way: Way) -> onnx.ModelProto:
    """The int8 file, quantised in that way."""
    model = encoder_graph.build(encoder, quantized=True)
    texts = functions.QUANTIZE_TOKENS.replace(f"{{{functions.STEPS}.0}}", f"{{{way.steps}.0}}")
    changed = parser.parse_function(texts)
    next(one for one in model.functions if one.name == changed.name).CopyFrom(changed)
    if way.largest is not None:
        tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        for tensor in encoder_graph.build(encoder, quantized=False).graph.initializer:
            linear, dot, kind = tensor.name.rpartition(".")
            if kind == "weight":
                arrays = quantize(numpy_helper.to_array(tensor), way.largest)
                for part, array in zip(("weight", "scale", "sum"), arrays, strict=True):
                    name = f"{linear}{dot}{part}"
                    tensors[name].CopyFrom(numpy_helper.from_array(array, name))
    return model


def quantize(weights: int8.Floats, largest: int) -> tuple[int8.Integers, int8.Floats, int8.Floats]:
    """Weights [width, channels] in -largest..largest; their scales and sums as ``int8.quantize_channels``."""
    scales = np.abs(weights).max(axis=0) / np.float32(largest)
    values = np.rint(weights / scales).astype(np.int8)
    return values, scales, scales * values.sum(axis=0, dtype=np.int32).astype(np.float32)


class Artifact:
    """The vectors of a file, by standard operators or by kernels."""

    def __init__(self, file: Path, kernels: native.Kernels) -> None:
        folder = peers.artifact(peers.SMALL)
        described = manifest.read(folder)
        self._tokenizer = Tokenizer(folder / manifest.TOKENIZER, max_tokens=described.max_tokens)
        encoder = Encoder(file, described, kernels)
        self._inference = Inference(encoder, DenseFinish(described.output, encoder.through_head))

    def __call__(self, texts: list[str]) -> quality.Vectors:
        """Vectors of a list of texts."""
        tokens = self._tokenizer.encode(texts)
        return np.stack([self._inference.run([TokenSequence(item.ids)])[0] for item in tokens])


if __name__ == "__main__":
    main()
