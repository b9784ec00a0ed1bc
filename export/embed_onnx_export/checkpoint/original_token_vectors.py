"""From a checkpoint to the MultiVectorEncoder in PyTorch, which its artifacts are compared with."""

import sentence_transformers
import transformers

from embed_onnx_export.checkpoint import weights
from embed_onnx_export.checkpoint.original import TRANSFORMER
from embed_onnx_export.checkpoint.sources import Checkpoint
from embed_onnx_export.errors import ExportError, is_exhausted


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
    # Its bars would stand among those of the export.
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with weights.readable(checkpoint.folder) as folder:
            model = sentence_transformers.MultiVectorEncoder(
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
    model.max_seq_length = max_tokens
    return model
