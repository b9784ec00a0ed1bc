"""What exporting does with a model in PyTorch: other architectures, and the vectors of the original."""

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from embed_onnx.artifact.manifest import Exporter, Module
from embed_onnx.models.inputs import Item
from embed_onnx_export.checkpoint import original_scores, original_sparse, original_token_vectors, tokenizer
from embed_onnx_export.checkpoint.cross_encoder import CrossEncoder
from embed_onnx_export.checkpoint.description import with_quadratic
from embed_onnx_export.checkpoint.original import Original, load_original
from embed_onnx_export.checkpoint.sources import Checkpoint
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import compare, states
from embed_onnx_export.parity import Embed
from embed_onnx_export.score_parity import Score
from embed_onnx_export.token_parity import EmbedTokens

REFERENCE = f"sentence-transformers {version('sentence-transformers')}"
"""What artifacts are compared with, for the manifest."""


def load(checkpoint: Checkpoint) -> Original:
    """The original, whose tokenizer can be served.

    Raises:
        ExportError: It is not supported.
    """
    original = load_original(checkpoint)
    if original.static:
        return original
    try:
        tokenizer.check(original.torch[0])
    except ExportError as err:
        raise ExportError(f"{checkpoint.source.repo} cannot be exported: {err}") from err
    return original


def write_states(
    original: Original, checkpoint: Checkpoint, graph: Path, *, exporter: Exporter | None
) -> tuple[str, tuple[Module, ...]]:
    """Write the float32 graph of a transformer's states, by the exporter of a name or the first that can.

    Returns the exporter that did, and the modules for the manifest, the first with a note if long texts need
    much memory.

    Raises:
        ExportError: No exporter can.
    """
    try:
        limit = original.max_tokens or 0
        written = states.write(original.torch[0], graph, max_tokens=limit, exporter=exporter)
    except ExportError as err:
        raise ExportError(f"{checkpoint.source.repo} cannot be exported: {err}") from err
    if written.quadratic is None:
        return written.exporter, original.modules
    return written.exporter, with_quadratic(original.modules, written.quadratic)


def states_of(original: Original) -> compare.Original:
    """The transformer, as what graphs are compared with."""
    return compare.of_pytorch(original.torch[0].auto_model)


def embed(original: Original) -> Embed:
    """The original, for one text at a time: some architectures let a batch's padding into a text's vector."""
    model = original.torch

    def one(prompt: str, text: str) -> tuple[list[int], NDArray[np.float32]]:
        ids = model.preprocess([text], prompt=prompt)["input_ids"].flatten().tolist()
        (vector,) = model.encode([text], prompt=prompt, show_progress_bar=False)
        return ids, vector.astype(np.float32)

    return one


def embed_sparse(checkpoint: Checkpoint, max_tokens: int) -> Embed:
    """A SparseEncoder in PyTorch, for one text at a time; its vectors have all their zeros.

    Raises:
        ExportError: It cannot be loaded.
    """
    model = original_sparse.load(checkpoint, max_tokens)

    def one(prompt: str, text: str) -> tuple[list[int], NDArray[np.float32]]:
        ids = model.preprocess([text], prompt=prompt)["input_ids"].flatten().tolist()
        (vector,) = model.encode(
            [text], prompt=prompt, show_progress_bar=False, convert_to_sparse_tensor=False
        )
        return ids, np.asarray(vector, np.float32)

    return one


def embed_queries(checkpoint: Checkpoint) -> Callable[[str], NDArray[np.float32]]:
    """The queries of a SparseEncoder in PyTorch, one at a time, without a prompt; with all their zeros.

    Raises:
        ExportError: It cannot be loaded.
    """
    model = original_sparse.load(checkpoint, None)

    def one(text: str) -> NDArray[np.float32]:
        (vector,) = model.encode_query(
            [text], prompt="", show_progress_bar=False, convert_to_sparse_tensor=False
        )
        return np.asarray(vector, np.float32)

    return one


def embed_tokens(checkpoint: Checkpoint, max_tokens: int) -> EmbedTokens:
    """A MultiVectorEncoder in PyTorch, for one text at a time.

    Raises:
        ExportError: It cannot be loaded.
    """
    model = original_token_vectors.load(checkpoint, max_tokens)
    encode = {"query": model.encode_query, "document": model.encode_document}

    def one(role: str, text: str) -> tuple[list[int], NDArray[np.float32]]:
        prompt = model.prompts.get(role)
        ids = model.preprocess([text], prompt=prompt, task=role)["input_ids"].flatten().tolist()
        (vectors,) = encode[role]([text], convert_to_numpy=True, show_progress_bar=False)
        return ids, np.asarray(vectors, np.float32)

    return one


def load_scorer(checkpoint: Checkpoint, reason: str) -> tuple[CrossEncoder, Any]:
    """A model that scores, whose transformer is traced, and the same in PyTorch.

    ``reason`` says why its graph is not written of its weights.

    Raises:
        ExportError: It is not supported.
    """
    model = original_scores.load(checkpoint, attention="eager")
    return original_scores.described(checkpoint, model, reason), model


def write_scorer(described: CrossEncoder, model: Any, repo: str, graph: Path) -> CrossEncoder:
    """Write the float32 graph of a model that scores, with a note if long texts need much memory.

    Raises:
        ExportError: It cannot be traced.
    """
    write_graph = states.write_logits if described.in_graph else partial(states.write, exporter="torch")
    try:
        written = write_graph(model[0], graph, max_tokens=described.max_tokens or 0)
    except ExportError as err:
        raise ExportError(f"{repo} cannot be exported: {err}") from err
    if written.quadratic is None:
        return described
    return replace(described, modules=with_quadratic(described.modules, written.quadratic))


def score(checkpoint: Checkpoint) -> Score:
    """A CrossEncoder in PyTorch, for one text or pair at a time.

    Raises:
        ExportError: It cannot be loaded.
    """
    model = original_scores.load(checkpoint)

    def one(item: Item) -> tuple[list[int], NDArray[np.float32]]:
        return original_scores.token_ids(model, item), original_scores.logits(model, [item])[0]

    return one
