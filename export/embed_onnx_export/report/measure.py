"""What an embedder's report card is made of: the same texts through the original and its artifacts."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from embed_onnx.engine import dtypes
from embed_onnx.engine.dtypes import DType, Ranges
from embed_onnx.engine.vectors import normalize
from embed_onnx.models.model import Model
from embed_onnx_export import similarity
from embed_onnx_export.checkpoint.original import Original
from embed_onnx_export.report import scores
from embed_onnx_export.report.card import Scores
from embed_onnx_export.report.datasets import Datasets
from embed_onnx_export.report.scores import Floats, Places
from embed_onnx_export.report.workload import OPTIONS, Kind, Scorer, Workload

Embed = Callable[[Kind, Sequence[str]], Floats]
Vectors = Mapping[Kind, Floats]
"""A row for each text of a ``Workload``."""


def of_original(original: Original, batch: int) -> Embed:
    """PyTorch, as a user of sentence-transformers calls it."""
    model = original.torch
    ways: dict[Kind, Callable[..., Any]] = {
        "bare": partial(model.encode, prompt=""),
        "text": model.encode,
        "query": model.encode_query,
        "document": model.encode_document,
    }

    def embed(kind: Kind, inputs: Sequence[str]) -> Floats:
        vectors = ways[kind](list(inputs), batch_size=batch, show_progress_bar=False)
        return np.asarray(vectors, np.float32)

    return embed


def of_artifact(model: Model) -> Embed:
    """An artifact, with prompts as ``encode_query`` and ``encode_document`` choose them."""
    return lambda kind, inputs: model.encode(list(inputs), **OPTIONS[kind])


def in_type(vectors: Vectors, dtype: DType, ranges: Ranges | None) -> Vectors:
    """Vectors as their numbers are when they are compared in a type: of bits, -1 and 1.

    So that products of bits are in the order of Hamming distances.
    """
    return {kind: _compared(rows, dtype, ranges) for kind, rows in vectors.items()}


def _compared(rows: Floats, dtype: DType, ranges: Ranges | None) -> Floats:
    stored = dtypes.convert(rows, dtype, ranges if dtype in dtypes.RANGED else None)
    if dtype == "ubinary":
        stored = 2 * np.unpackbits(stored, axis=-1, count=rows.shape[1]).astype(np.int8) - 1
    return stored.astype(np.float32)


def scorer(data: Datasets, work: Workload, original: Vectors, ranks_by: str) -> Scorer[Floats]:
    """What scores vectors that are ranked by "dot" or "cosine"."""

    def rank(queries: Floats, documents: Floats, leave_out: Sequence[int]) -> Places:
        if ranks_by == "cosine":
            queries, documents = normalize(queries), normalize(documents)
        return scores.nearest(queries, documents, leave_out)

    return Scorer(data, work, original, rank=rank, alike=similarity.cosines)


def cut(scorer: Scorer[Floats], vectors: Vectors, dimensions: int) -> Scores:
    """Scores of vectors cut to so many dimensions."""
    short = {kind: rows[:, :dimensions] for kind, rows in vectors.items()}
    return Scores(dimensions=dimensions, **scorer.score(short))
