"""From a checkpoint to the SparseEncoder in PyTorch, which sparse artifacts are compared with."""

from sentence_transformers import SparseEncoder

from embed_onnx_export.checkpoint import original
from embed_onnx_export.checkpoint.sources import Checkpoint


def load(checkpoint: Checkpoint, max_tokens: int | None) -> SparseEncoder:
    """The model as sentence-transformers loads it, in float32, with this limit of documents or its own.

    Raises:
        ExportError: It cannot be loaded.
    """
    model = original.load_whole(SparseEncoder, checkpoint)
    if max_tokens is not None:
        documents = model[0].sub_modules["document"] if hasattr(model[0], "sub_modules") else model
        documents[0].max_seq_length = max_tokens
    return model
