"""Dense vectors: their record in the manifest, the file for their head, and how states become vectors."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embed_onnx.artifact.manifest import HEAD
from embed_onnx.artifact.outputs import Dense
from embed_onnx.engine.encoder import Encoder
from embed_onnx.engine.inference import Inference
from embed_onnx.engine.outputs.dense import DenseFinish
from embed_onnx_export.checkpoint.description import Description
from embed_onnx_export.graph import head_graph


def output(described: Description) -> Dense:
    """The manifest's record of the vectors of a model."""
    return Dense(
        dimensions=described.dimensions,
        matryoshka=described.matryoshka,
        pooling=described.pooling,
        include_prompt=described.include_prompt,
        normalize=described.normalize,
    )


def write_head(described: Description, folder: Path) -> None:
    """Write head.onnx, if modules come between the pooling and the last Normalize."""
    if described.head:
        head_graph.write(described.head, described.pooled, folder / HEAD)


def inference(
    encoder: Encoder, described: Dense, *, normalize: bool = True
) -> Inference[NDArray[np.float32]]:
    """What serving does with sequences of ids: float32 [texts, dimensions].

    Without ``normalize``, vectors are those before the Normalize at the model's end, if there is one.
    """
    return Inference(encoder, DenseFinish(described, encoder.through_head, normalize=normalize))
