"""What a sparse model's report card is made of: the same texts through the original and its artifacts.

Vectors of several texts are a matrix [texts, entries] in compressed rows, as most of it is zeros.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse
from sentence_transformers import SparseEncoder

from embed_onnx.engine.outputs.sparse import SparseVector
from embed_onnx.models.model import Model
from embed_onnx.models.sparse import SparseRows, greatest
from embed_onnx_export.report import scores
from embed_onnx_export.report.datasets import Datasets
from embed_onnx_export.report.scores import Floats, Places
from embed_onnx_export.report.sparse_card import SparseScores
from embed_onnx_export.report.workload import OPTIONS, Kind, Scorer, Workload

Matrix = Any
"""``scipy.sparse.csr_array`` of float32, whose library has no types."""
Embed = Callable[[Kind, Sequence[str]], Matrix]
Vectors = Mapping[Kind, Matrix]
"""A row for each text of a ``Workload``."""

WEIGHT_BYTES = 8
"""An int32 of the entry and a float32 of its weight, as most indexes take them."""


def of_original(model: SparseEncoder, entries: int, batch: int) -> Embed:
    """PyTorch, as a user of sentence-transformers calls it; texts are documents where there are two ways."""
    ways: dict[Kind, Callable[..., Any]] = {
        "bare": partial(model.encode, prompt="", task="document"),
        "text": partial(model.encode, task="document"),
        "query": model.encode_query,
        "document": model.encode_document,
    }

    def embed(kind: Kind, inputs: Sequence[str]) -> Matrix:
        rows = ways[kind](list(inputs), batch_size=batch, show_progress_bar=False).coalesce()
        # A table of queries may have fewer entries: those of its tokenizer.
        places = (rows.indices()[0].numpy(), rows.indices()[1].numpy())
        return sparse.csr_array((rows.values().numpy(), places), (len(inputs), entries))

    return embed


def of_artifact(model: Model) -> Embed:
    """An artifact, with prompts as ``encode_query`` and ``encode_document`` choose them."""
    return lambda kind, inputs: _matrix(model.encode_sparse(list(inputs), **OPTIONS[kind]))


def join(parts: list[Matrix]) -> Matrix:
    """The rows of some matrices, one after the other."""
    return sparse.vstack(parts, format="csr")


def scorer(data: Datasets, work: Workload, original: Vectors, ranks_by: str) -> Scorer[Matrix]:
    """What scores sparse vectors that are compared by "dot" or "cosine"."""

    def comparable(rows: Matrix) -> Matrix:
        return _normalized(rows) if ranks_by == "cosine" else rows

    def rank(queries: Matrix, documents: Matrix, leave_out: Sequence[int]) -> Places:
        return scores.best(_products(comparable(queries), comparable(documents)), leave_out)

    def alike(rows: Matrix, others: Matrix) -> Floats:
        products: Floats = comparable(rows).multiply(comparable(others)).sum(axis=1)
        return products

    return Scorer(data, work, original, rank=rank, alike=alike)


def cut(scorer: Scorer[Matrix], vectors: Vectors, max_active_dims: int | None) -> SparseScores:
    """Scores of vectors of which so many weights are kept."""
    short = {kind: _greatest(rows, max_active_dims) for kind, rows in vectors.items()}
    active: dict[str, float] = {
        kind: rows.nnz / rows.shape[0] for kind, rows in short.items() if kind != "bare"
    }
    return SparseScores(
        max_active_dims=max_active_dims,
        active_dims=active,
        bytes=WEIGHT_BYTES * active.get("document", active.get("text", 0.0)),
        **scorer.score(short),
    )


def _products(queries: Matrix, documents: Matrix) -> Iterator[Floats]:
    """The products of queries with all documents, [queries, documents], of some queries at a time."""
    for block in scores.query_blocks(queries.shape[0]):
        yield np.ascontiguousarray((documents @ queries[block].toarray().T).T)


def _normalized(rows: Matrix) -> Matrix:
    """Rows of length 1; those without weights stay so."""
    lengths = np.sqrt(rows.multiply(rows).sum(axis=1))
    weights = rows.data / np.repeat(lengths, np.diff(rows.indptr))
    return sparse.csr_array((weights, rows.indices, rows.indptr), rows.shape)


def _greatest(rows: Matrix, count: int | None) -> Matrix:
    if count is None:
        return rows
    vectors = SparseRows(rows.indptr, rows.indices, rows.data, rows.shape)
    kept: list[SparseVector] = [greatest(vector, count) for vector in vectors]
    return _matrix(SparseRows.of(kept, rows.shape[1]))


def _matrix(rows: SparseRows) -> Matrix:
    return sparse.csr_array((rows.weights, rows.indices, rows.indptr), rows.shape)
