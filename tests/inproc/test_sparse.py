"""Sparse vectors in a program."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from harness import SPARSE

from embed_onnx import Model
from embed_onnx.engine.outputs.sparse import SparseFinish
from embed_onnx.engine.sequence import TokenSequence
from embed_onnx.errors import InferenceFailed, InvalidRequest, TaskNotSupported, TextTooLong
from embed_onnx.models.sparse import SparseRows

TEXTS = ["a few words", "numbers such as 12 stand beside letters", "", "12", "a few words"]
NOT_EMPTY = [text for text in TEXTS if text]


@pytest.fixture(scope="module")
def model(sparse_home: Path) -> Iterator[Model]:
    with Model.load(sparse_home / "artifacts" / SPARSE, threads=2) as model:
        yield model


def assert_same(rows: SparseRows, others: SparseRows) -> None:
    for name in ("indptr", "indices", "weights"):
        np.testing.assert_array_equal(getattr(rows, name), getattr(others, name))


def test_the_parts_of_a_matrix(model: Model) -> None:
    rows = model.encode_sparse(NOT_EMPTY)

    assert (np.int64, np.int32, np.float32) == (rows.indptr.dtype, rows.indices.dtype, rows.weights.dtype)
    assert (len(NOT_EMPTY), model.manifest.sparse.entries) == rows.shape
    assert [0, len(rows.indices)] == [rows.indptr[0], rows.indptr[-1]]
    for row in rows:
        assert (np.diff(row.indices) > 0).all()
        assert (row.weights > 0).all()
    assert 0 < len(rows.indices) < rows.shape[0] * rows.shape[1]


def test_no_vector_depends_on_another_text(model: Model) -> None:
    together = list(model.encode_sparse(NOT_EMPTY * 9))

    for text, row in zip(NOT_EMPTY * 9, together, strict=True):
        (alone,) = model.encode_sparse(text)
        np.testing.assert_array_equal(alone.indices, row.indices)
        np.testing.assert_array_equal(alone.weights, row.weights)


def test_the_greatest_weights(model: Model) -> None:
    (all_of_them,) = model.encode_sparse(TEXTS[0])

    (row,) = model.encode_sparse(TEXTS[0], max_active_dims=5)

    least = np.sort(all_of_them.weights)[-5]
    np.testing.assert_array_equal(all_of_them.weights[all_of_them.weights >= least], row.weights)
    assert (np.diff(row.indices) > 0).all()
    with pytest.raises(InvalidRequest, match="max_active_dims is 0; send at least 1"):
        model.encode_sparse(TEXTS[0], max_active_dims=0)


def test_an_event_loop(model: Model) -> None:
    assert_same(
        model.encode_sparse(NOT_EMPTY, prompt_name="query"),
        asyncio.run(model.encode_sparse_async(NOT_EMPTY, prompt_name="query")),
    )


def test_no_texts(model: Model) -> None:
    rows = model.encode_sparse([])

    assert (0, model.manifest.sparse.entries) == rows.shape
    assert [0] == rows.indptr.tolist()


def test_what_is_refused(model: Model) -> None:
    with pytest.raises(TextTooLong):
        model.encode_sparse("word " * 100, truncate=False)
    for call in (lambda: model.encode("text"), model.ranges):
        with pytest.raises(TaskNotSupported, match="makes sparse vectors"):
            call()
    with pytest.raises(TaskNotSupported, match="does not classify"):
        model.classify("text")


def test_what_is_not_finite_is_an_error(model: Model) -> None:
    """A maximum passes over what is not a number."""
    finish = SparseFinish(model.manifest.sparse, lambda states, pack: np.zeros((len(pack), 3), np.float32))

    with pytest.raises(InferenceFailed, match="not finite, for up to 2 tokens"):
        finish(np.array([[1, np.nan]], np.float32), [TokenSequence([1, 2])])
