"""From a checkpoint to the MultiVectorEncoder in PyTorch, which its artifacts are compared with."""

import sentence_transformers

from embed_onnx_export.checkpoint import original
from embed_onnx_export.checkpoint.sources import Checkpoint
from embed_onnx_export.errors import ExportError


def load(checkpoint: Checkpoint, max_tokens: int | None) -> "sentence_transformers.MultiVectorEncoder":
    """The model as sentence-transformers loads it, in float32, with this limit for what has none of its own.

    Raises:
        ExportError: It cannot be loaded.
    """
    if not hasattr(sentence_transformers, "MultiVectorEncoder"):
        # The environment of the exporter optimum, which exports all the other kinds.
        raise ExportError(
            f"{checkpoint.source.repo} gives token vectors, which need sentence-transformers 6, and "
            f"{sentence_transformers.__version__} is installed; export it by another exporter than optimum"
        )
    model = original.load_whole(sentence_transformers.MultiVectorEncoder, checkpoint)
    model.max_seq_length = max_tokens
    return model
