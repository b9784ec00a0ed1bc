"""Dense vectors: their record in the manifest, the file for their head, and how states become vectors."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embed_onnx.artifact.manifest import HEAD, Dense
from embed_onnx.engine.encoder import Encoder
from embed_onnx.engine.inference import Inference
from embed_onnx.engine.outputs.dense import DenseFinish
from embed_onnx_export.checkpoint import head
from embed_onnx_export.checkpoint.original import Original


def output(original: Original) -> Dense:
    """The manifest's record of the vectors of a model."""
    return Dense(
        dimensions=original.dimensions,
        matryoshka=original.matryoshka,
        pooling=original.pooling,
        include_prompt=original.include_prompt,
        normalize=original.normalize,
    )


def write_head(original: Original, folder: Path) -> None:
    """Write head.onnx, if modules come between the pooling and the last Normalize."""
    if original.head:
        head.write(original.head, original.pooled, folder / HEAD)


def inference(encoder: Encoder, described: Dense) -> Inference[NDArray[np.float32]]:
    """What serving does with sequences of ids: float32 [texts, dimensions]."""
    return Inference(encoder, DenseFinish(described, encoder.through_head))
