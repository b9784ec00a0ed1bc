"""From a checkpoint to the CrossEncoder in PyTorch, which artifacts that score are compared with."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from sentence_transformers import CrossEncoder

from embed_onnx.models.inputs import Item
from embed_onnx.models.request_pairs import length
from embed_onnx_export.checkpoint import weights
from embed_onnx_export.checkpoint.original import TRANSFORMER
from embed_onnx_export.checkpoint.sources import Checkpoint
from embed_onnx_export.errors import ExportError, is_exhausted


def load(checkpoint: Checkpoint) -> CrossEncoder:
    """The model as sentence-transformers loads it, in float32.

    Raises:
        ExportError: It cannot be loaded.
    """
    # Its bars would stand among those of the export.
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with weights.readable(checkpoint.folder) as folder:
            return CrossEncoder(
                str(folder),
                device="cpu",
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs=dict(TRANSFORMER),
            )
    except Exception as err:  # whatever transformers raises for a folder it cannot read
        if is_exhausted(err):
            raise
        raise ExportError(f"{checkpoint.source.repo} cannot be loaded: {err}") from err


def token_ids(model: CrossEncoder, item: Item) -> list[int]:
    """The ids of a text or a pair, as the model reads it."""
    ids: list[int] = model.preprocess([item])["input_ids"].flatten().tolist()
    return ids


@torch.inference_mode()
def logits(model: CrossEncoder, items: Sequence[Item], batch: int = 1) -> NDArray[np.float32]:
    """The logits of texts and pairs, float32 [items, labels], in batches of about the same length.

    What ``predict`` does before its activation, which takes pairs alone.
    """
    order = sorted(range(len(items)), key=lambda place: -length(items[place]))
    parts: list[Any] = []
    for first in range(0, len(order), batch):
        inputs = model.preprocess([items[place] for place in order[first : first + batch]])
        parts.append(
            np.asarray(model(inputs)["scores"], np.float32).reshape(len(order[first : first + batch]), -1)
        )
    rows: NDArray[np.float32] = np.concatenate(parts)[np.argsort(order)]
    return rows
