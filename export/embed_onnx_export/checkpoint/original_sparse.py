"""From a checkpoint to the SparseEncoder in PyTorch, which sparse artifacts are compared with."""

import transformers
from sentence_transformers import SparseEncoder

from embed_onnx_export.checkpoint import weights
from embed_onnx_export.checkpoint.original import TRANSFORMER
from embed_onnx_export.checkpoint.sources import Checkpoint
from embed_onnx_export.errors import ExportError, is_exhausted


def load(checkpoint: Checkpoint, max_tokens: int | None) -> SparseEncoder:
    """The model as sentence-transformers loads it, in float32, with this limit of documents or its own.

    Raises:
        ExportError: It cannot be loaded.
    """
    # Its bars would stand among those of the export.
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with weights.readable(checkpoint.folder) as folder:
            model = SparseEncoder(
                str(folder),
                device="cpu",
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs=dict(TRANSFORMER),
            ).eval()
    except Exception as err:  # whatever transformers raises for a folder it cannot read
        if is_exhausted(err):
            raise
        raise ExportError(f"{checkpoint.source.repo} cannot be loaded: {err}") from err
    if max_tokens is not None:
        documents = model[0].sub_modules["document"] if hasattr(model[0], "sub_modules") else model
        documents[0].max_seq_length = max_tokens
    return model
