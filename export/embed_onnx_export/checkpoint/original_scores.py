"""From a checkpoint to the CrossEncoder in PyTorch, which artifacts that score are compared with."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import CrossEncoder

from embed_onnx.models.inputs import Item
from embed_onnx.models.request_pairs import length
from embed_onnx_export.checkpoint import config, cross_encoder, tokenizer, weights
from embed_onnx_export.checkpoint.description import First
from embed_onnx_export.checkpoint.original import NOT_POOLED, TRANSFORMER, check_parameters, load_whole
from embed_onnx_export.checkpoint.sources import Checkpoint
from embed_onnx_export.errors import ExportError


def load(checkpoint: Checkpoint, *, attention: str | None = None) -> CrossEncoder:
    """The model as ``load_whole`` has it.

    Raises:
        ExportError: It cannot be loaded.
    """
    return load_whole(CrossEncoder, checkpoint, attention=attention)


def described(checkpoint: Checkpoint, model: CrossEncoder, reason: str) -> cross_encoder.CrossEncoder:
    """What a loaded model is, whose transformer is traced; ``reason`` is why no other exporter writes it.

    Raises:
        ExportError: It has a setting that would be served wrongly, or weights are missing.
    """
    repo, transformer = checkpoint.source.repo, model[0]
    chain = cross_encoder.check(checkpoint)
    folder = checkpoint.folder / (chain[0].path if chain else "")
    config.check_known(folder, repo)
    _check_parameters(checkpoint, transformer, classifies=not chain)
    config.check(transformer.auto_model.base_model, repo)
    try:
        tokenizer.check(transformer)
    except ExportError as err:
        raise ExportError(f"{repo} cannot be exported: {err}") from err
    tokenizer.check_ids(transformer, repo)
    transformer.max_seq_length = tokenizer.max_tokens(transformer)
    first = First(
        text=f"Transformer ({type(transformer.auto_model).__name__})",
        width=transformer.auto_model.config.hidden_size,
        max_tokens=transformer.max_seq_length,
        tokenizer=transformer.tokenizer.backend_tokenizer,
        truncation_side=transformer.tokenizer.truncation_side,
    )
    if chain:
        return cross_encoder.of_modules(checkpoint, chain, first, reason)
    return cross_encoder.in_graph(checkpoint, first, model.num_labels, reason)


def _check_parameters(checkpoint: Checkpoint, transformer: Any, *, classifies: bool) -> None:
    """Refuse what would have been given random weights."""
    with weights.readable(checkpoint.folder) as folder:
        _, info = type(transformer.auto_model).from_pretrained(
            folder, local_files_only=True, output_loading_info=True, **TRANSFORMER
        )
    unused = None if classifies else NOT_POOLED
    check_parameters(transformer.auto_model, info, checkpoint.source.repo, unused=unused)


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
        some = [items[place] for place in order[first : first + batch]]
        outputs = model(model.preprocess(some))["scores"]
        parts.append(np.asarray(outputs, np.float32).reshape(len(some), -1))
    rows: NDArray[np.float32] = np.concatenate(parts)[np.argsort(order)]
    return rows
