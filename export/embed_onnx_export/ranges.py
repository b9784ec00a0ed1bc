"""How large the numbers of an artifact's vectors are, measured over the calibration texts: ranges.json.

One size for all dimensions, so that int8 is the vector times a number, and cosines and products of int8
vectors are near those of the vectors. Over all-MiniLM-L6-v2 and 1,000 questions with an abstract each, 99 %
of the ten nearest are then those of float32; with a range for each dimension, as ``dtypes.ranges`` has, 90 %.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embed_onnx.artifact import ranges
from embed_onnx.artifact.manifest import MODEL, Facts
from embed_onnx.artifact.ranges import Sizes
from embed_onnx.engine import native
from embed_onnx.engine.encoder import Encoder
from embed_onnx.engine.sequence import TokenSequence
from embed_onnx.engine.vectors import Vector, normalize
from embed_onnx_export import calibration, parity
from embed_onnx_export.calibration import Texts
from embed_onnx_export.kinds import dense

QUANTILE = 0.999
"""The share of numbers that are within the size; larger ones are clipped. With all of them within, the steps
would be those of a few: of the ten nearest above, 98 % are then those of float32."""
DIGITS = 6
"""Of a number in the file."""


def write(folder: Path, facts: Facts, samples: Texts) -> None:
    """Measure a folder whose model and tokenizer are there, as serving runs it, and write the file."""
    raw = _vectors(folder, facts, samples)
    units = normalize(raw)
    norms = np.sqrt(np.cumsum(np.square(units, dtype=np.float64), axis=1)).mean(axis=0)
    sizes = Sizes(
        calibration=samples.record,
        raw=_size(raw),
        unit=_size(units),
        norms=tuple(_rounded(norm) for norm in norms),
    )
    ranges.write(sizes, folder)


def _vectors(folder: Path, facts: Facts, samples: Texts) -> Vector:
    """Of the texts, after no prompt and after each in turn, before the Normalize at the model's end."""
    tokenizer = parity.load_tokenizer(folder, facts)
    encoder = Encoder(folder / MODEL, facts, native.find().of(facts))
    inference = dense.inference(encoder, facts.dense, normalize=False)
    vectors = []
    for prompt, text in calibration.prompted(samples, list(facts.prompts.values())):
        (item,) = tokenizer.encode([prompt + text])
        skipped = parity.prompt_tokens(tokenizer, facts, prompt)
        if item.num_tokens > skipped:
            vectors.extend(inference.run([TokenSequence(item.ids, skipped)]))
    return np.array(vectors)


def _size(vectors: NDArray[np.float32]) -> float:
    return _rounded(np.quantile(np.abs(vectors), QUANTILE))


def _rounded(number: float | np.floating) -> float:
    return float(f"{number:.{DIGITS}g}")
