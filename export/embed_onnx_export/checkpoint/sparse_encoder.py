"""Sparse models: a masked language model and a SpladePooling, read of their files alone.

A ``SparseEncoder`` of Sentence-Transformers, or a plain ``*ForMaskedLM`` of transformers whose line says
task=sparse, which gets what Sentence-Transformers would make of it: the maximum, and log(1 + relu).
"""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import tokenizers

from embed_onnx.artifact.manifest import HEAD, MODEL, Module, Overrides, TruncationSide
from embed_onnx.artifact.outputs import Sparse, SparseActivation, SparsePooling
from embed_onnx_export.checkpoint import description, module_files, modules, tensors, tokenizer_file
from embed_onnx_export.checkpoint.files import COMPARED
from embed_onnx_export.checkpoint.sources import CONFIG, MODULES, Checkpoint
from embed_onnx_export.checkpoint.tokenizer_classes import UnknownTokenizer
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import encoders, masked_lm
from embed_onnx_export.graph.bert.families import UnknownFamily
from embed_onnx_export.graph.encoders import Encoder
from embed_onnx_export.graph.int8 import Floats
from embed_onnx_export.graph.vocabulary_graph import VocabularyHead

SETTINGS = {
    "transformer_task": "fill-mask",
    "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
    "module_output_name": "token_embeddings",
}
"""What newer files say of every masked language model."""


class SparseEncoder(msgspec.Struct, frozen=True, kw_only=True):
    """A sparse model, as it is served. ``modules`` are the chain for the manifest."""

    encoder: Encoder
    head: VocabularyHead
    output: Sparse
    modules: tuple[Module, ...]
    tokenizer: tokenizers.Tokenizer
    max_tokens: int
    truncation_side: TruncationSide
    prompts: dict[str, str]
    default_prompt: str | None
    query_weights: Floats | None = None
    """Of the entries, where queries are weighed by a table."""


class _Pooling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """config.json of a SpladePooling; an unknown field would be an unknown computation."""

    pooling_strategy: SparsePooling = "max"
    activation_function: SparseActivation = "relu"
    embedding_dimension: int | None = None
    word_embedding_dimension: int | None = None
    chunk_size: int | None = None
    """How many tokens are pooled at a time, which changes nothing."""


class _StaticConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """config.json of a SparseStaticEmbedding; ``path`` is a file of words and their weights."""

    frozen: bool = False
    path: str | None = None


class _Table(msgspec.Struct, frozen=True):
    """Weights of entries, [entries], and the most tokens of a text."""

    weights: Floats
    max_tokens: int


def is_one(checkpoint: Checkpoint, overrides: Overrides) -> bool:
    """Whether a checkpoint is exported as a sparse model: it is a SparseEncoder, or its line says so.

    Raises:
        ExportError: One of its files cannot be read.
    """
    if (checkpoint.folder / MODULES).is_file():
        return modules.read_settings(checkpoint.folder).model_type == modules.SPARSE_ENCODER
    return overrides.task == "sparse"


def read(checkpoint: Checkpoint, *, strict: bool) -> SparseEncoder:
    """The model that a checkpoint is; ``strict`` is that of ``encoders.read``.

    Raises:
        ExportError: It is not one that is served, or its parts do not fit together.
    """
    chain = modules.read_sparse(checkpoint)
    try:
        return _read(checkpoint, chain, strict=strict)
    except (UnknownFamily, UnknownTokenizer) as err:
        raise ExportError(
            f"{checkpoint.source.repo} cannot be exported as a sparse model: {err}; masked language models "
            f"of {', '.join(masked_lm.NAMES)} are, with a tokenizer.json" + (COMPARED if strict else "")
        ) from None


def _read(checkpoint: Checkpoint, sparse: modules.SparseChain, *, strict: bool) -> SparseEncoder:
    chain = sparse.modules
    folder = checkpoint.folder / (chain[0].path if chain else "")
    config = module_files.decode(folder / CONFIG, dict[str, Any])
    name = encoders.class_name(config)  # before the weights are read
    own = tokenizer_file.read_own(folder, SETTINGS)
    tokenizer, settings = tokenizer_file.read(folder, own, config)
    arrays = tensors.read(folder)
    encoder = encoders.read(config, arrays, strict=strict)
    head = masked_lm.read(config, arrays, encoder)
    pooling = (
        module_files.decode(checkpoint.folder / chain[1].path / CONFIG, _Pooling) if chain else _Pooling()
    )
    in_numpy = pooling.pooling_strategy == "max"
    entries = len(head.scores.bias)
    table = None if sparse.query is None else _table(checkpoint.folder / sparse.query, tokenizer, entries)
    return SparseEncoder(
        encoder=encoder,
        head=head,
        output=Sparse(
            entries=entries,
            pooling=pooling.pooling_strategy,
            activation=pooling.activation_function,
            query_tokens=None if table is None else table.max_tokens,
        ),
        modules=(
            Module(f"Transformer ({name})", MODEL),
            Module(f"scores of {entries} entries, their {pooling.pooling_strategy}", HEAD),
            Module(f"SpladePooling ({pooling.activation_function})", "numpy" if in_numpy else HEAD),
            *([] if table is None else [Module("of queries: SparseStaticEmbedding", "numpy")]),
        ),
        tokenizer=tokenizer,
        max_tokens=tokenizer_file.max_tokens(own, settings, encoders.max_positions(config, encoder)),
        truncation_side=settings.truncation_side or (tokenizer.truncation or {}).get("direction", "right"),
        prompts=description.read_prompts(checkpoint.folder),
        default_prompt=modules.read_settings(checkpoint.folder).default_prompt_name,
        query_weights=None if table is None else table.weights,
    )


def _table(folder: Path, documents: tokenizers.Tokenizer, entries: int) -> _Table:
    """The table of a SparseStaticEmbedding.

    Raises:
        ExportError: Its tokenizer is not that of the documents, or its weights are not of their vocabulary.
        UnknownTokenizer: Its tokenizer is not read of its files.
    """
    tokenizer, settings = tokenizer_file.read(folder, tokenizer_file.Own(), {"model_type": ""})
    if tokenizer_file.text(tokenizer) != tokenizer_file.text(documents):
        raise ExportError(
            f"{folder} has another tokenizer than the route of documents; save it with the same"
        )
    config = module_files.decode(folder / CONFIG, _StaticConfig)
    if config.path is None:
        weights = tensors.read(folder).get("weight", np.empty(0, np.float32))
    else:
        weights = _by_words(folder / config.path, documents, entries)
    if weights.ndim != 1 or not 0 < len(weights) <= entries:
        raise ExportError(
            f"{folder} has weights of the shape {weights.shape}, and documents have {entries} entries; save "
            "it with a weight for each"
        )
    weights = np.pad(weights, (0, entries - len(weights)))  # documents may have entries of no word
    limit = tokenizer_file.max_tokens(tokenizer_file.Own(), settings, tokenizer_file.NO_LIMIT)
    return _Table(weights.astype(np.float32), limit)


def _by_words(path: Path, tokenizer: tokenizers.Tokenizer, entries: int) -> Floats:
    """Weights of a JSON file of words and their weights; of words that it lacks, 0."""
    weights = np.zeros(entries, np.float32)
    for word, weight in module_files.decode(path, dict[str, float]).items():
        place = tokenizer.token_to_id(word)
        if place is not None:
            weights[place] = weight
    return weights
