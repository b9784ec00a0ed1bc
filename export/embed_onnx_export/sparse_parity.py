"""How far an artifact's sparse vectors are from its original's: the texts of ``parity``, through both.

The original is the SparseEncoder in PyTorch, or where there is no PyTorch the float32 artifact, run by
standard operators. Too far, and there is no artifact.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from embed_onnx.artifact.manifest import MODEL, Facts, Precision
from embed_onnx.artifact.parity import SHORT_TOKENS, SparseParity
from embed_onnx.engine import native
from embed_onnx.engine.encoder import Encoder
from embed_onnx.engine.inference import Inference
from embed_onnx.engine.native import Kernels
from embed_onnx.engine.outputs.sparse import SparseFinish, SparseVector
from embed_onnx.engine.sequence import TokenSequence
from embed_onnx.models.query_table import QueryTable
from embed_onnx_export import parity, similarity
from embed_onnx_export.errors import ExportError
from embed_onnx_export.parity import Embed, Reference

TOP = 20
"""The greatest weights of a text that are compared."""


class Floor(msgspec.Struct, frozen=True):
    """The least cosine, on average and of any sentence; the least share of terms; the largest difference."""

    mean: float
    least: float
    top_terms: float
    weight_difference: float


FLOORS: dict[Precision, Floor] = {
    "float32": Floor(0.99999, 0.9999, top_terms=0.99, weight_difference=1e-3),
    "int8": Floor(0.995, 0.97, top_terms=0.93, weight_difference=float("inf")),
}


def of_artifact(folder: Path, facts: Facts) -> Embed:
    """An artifact folder as what later ones are compared with, run by standard operators."""
    tokenizer, run = parity.load_tokenizer(folder, facts), _inference(folder, facts, native.find("off")).run

    def one(prompt: str, text: str) -> tuple[list[int], NDArray[np.float32]]:
        (item,) = tokenizer.encode([prompt + text])
        (vector,) = run([TokenSequence(item.ids)])
        return item.ids, dense(vector, facts.sparse.entries)

    return one


def dense(vector: SparseVector, entries: int) -> NDArray[np.float32]:
    """A sparse vector with its zeros, [entries]."""
    row = np.zeros(entries, np.float32)
    row[vector.indices] = vector.weights
    return row


def measure(expected: Reference, folder: Path, facts: Facts, kernels: Kernels) -> SparseParity:
    """Compare an artifact folder, as these kernels or standard operators run it, with its original.

    Raises:
        ExportError: A text has other token ids, or the vectors of sentences are too far apart.
    """
    tokens = parity.load_tokenizer(folder, facts).encode(expected.texts)
    parity.check_tokens(expected.texts, [item.ids for item in tokens], expected.ids)
    run = _inference(folder, facts, kernels).run
    rows = np.array(
        [dense(vector, facts.sparse.entries) for item in tokens for vector in run([TokenSequence(item.ids)])]
    )
    long = parity.counted([item.num_tokens for item in tokens], SHORT_TOKENS, facts)
    _check_floor(compared(rows, expected.vectors, np.array(expected.floored) & long), facts)
    return compared(rows, expected.vectors, long)


def compared(
    rows: NDArray[np.float32], others: NDArray[np.float32], counted: NDArray[np.bool_]
) -> SparseParity:
    """The record of two tables of weights, [texts, entries], over those texts that are counted."""
    cosines = similarity.cosines(rows[counted], others[counted])
    shares = [_shared(*pair) for pair in zip(rows[counted], others[counted], strict=True)]
    return SparseParity(
        texts=len(cosines),
        cosine_mean=float(cosines.mean()),
        cosine_min=float(cosines.min()),
        top_terms=float(np.mean(shares)),
        weight_difference=float(np.abs(rows[counted] - others[counted]).max()),
    )


def check_queries(folder: Path, facts: Facts, embed: Callable[[str], NDArray[np.float32]]) -> None:
    """Compare the queries that take no inference with the original's.

    Raises:
        ExportError: A weight is another.
    """
    table = QueryTable.read(folder, facts, parity.load_tokenizer(folder, facts))
    assert table is not None  # noqa: S101 - the caller has written it
    for text in parity.sentences():
        (tokens,) = table.tokenizer.encode([text])
        vector = dense(table.vector(table.contents(tokens).ids), facts.sparse.entries)
        original = embed(text)
        padded = np.pad(original, (0, len(vector) - len(original)))  # the table is of the tokenizer's words
        if not np.allclose(vector, padded, atol=1e-5):
            raise ExportError(
                f"{facts.name} weighs the query {text[:60]!r} otherwise than sentence-transformers; report "
                "this as a bug"
            )


def _shared(row: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The share of the greatest weights of one text that the other side has among its greatest."""
    of_row, of_other = _top(row), _top(other)
    return len(of_row & of_other) / max(1, len(of_row), len(of_other))


def _top(row: NDArray[np.float32]) -> set[int]:
    return {int(place) for place in np.argsort(-row, kind="stable")[:TOP] if row[place] > 0} or {-1}


def _check_floor(record: SparseParity, facts: Facts) -> None:
    floor = FLOORS[facts.precision]
    near = record.cosine_mean >= floor.mean and record.cosine_min >= floor.least  # not so for NaN
    if near and record.top_terms >= floor.top_terms and record.weight_difference <= floor.weight_difference:
        return
    way_out = "set precision=float32 on its line" if facts.precision == "int8" else "report this as a bug"
    raise ExportError(
        f"{facts.name} as {facts.precision} is too far from the original: cosine {record.cosine_mean:.5f} on "
        f"average and {record.cosine_min:.5f} at least, {record.top_terms:.1%} of the {TOP} greatest weights "
        f"are the same, and weights are off by up to {record.weight_difference:.5f}; the floor is "
        f"{floor.mean}, {floor.least}, {floor.top_terms:.0%} and {floor.weight_difference:g}; {way_out}"
    )


def _inference(folder: Path, facts: Facts, kernels: Kernels) -> Inference[list[SparseVector]]:
    encoder = Encoder(folder / MODEL, facts, kernels)
    return Inference(encoder, SparseFinish(facts.sparse, encoder.through_vocabulary))
