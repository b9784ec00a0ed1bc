"""The adapter for sparse models beside Sentence-Transformers' own class."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import SPARSE
from sentence_transformers import SparseEncoder

from embed_onnx import Model
from embed_onnx.sparse_adapter import SparseTextEncoder

TEXTS = ["a small model reads a few words", "numbers such as 12 and 345", "commas, and dots."]


@pytest.fixture(scope="module")
def original(sparse_home: Path) -> SparseEncoder:
    return SparseEncoder(str(sparse_home / "splade"), device="cpu")


@pytest.fixture(scope="module")
def encoder(sparse_home: Path) -> Iterator[SparseTextEncoder]:
    with Model.load(sparse_home / "artifacts" / SPARSE) as model:
        yield SparseTextEncoder(model)


def assert_alike(expected: Any, result: Any) -> None:
    """The same shape and layout, and nearly the same weights."""
    assert (expected.shape, expected.layout, expected.dtype) == (result.shape, result.layout, result.dtype)
    dense = expected.to_dense().reshape(-1)
    assert torch.cosine_similarity(dense, result.to_dense().reshape(-1), dim=0) > 0.995


@pytest.mark.parametrize("method", ["encode", "encode_query", "encode_document"])
@pytest.mark.parametrize("inputs", [TEXTS, TEXTS[0]], ids=["list", "alone"])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="defaults"),
        pytest.param({"prompt_name": "query"}, id="prompt-name"),
        pytest.param({"prompt": "about: "}, id="prompt"),
        pytest.param({"convert_to_sparse_tensor": False}, id="dense"),
        pytest.param({"batch_size": 2, "show_progress_bar": False, "device": "cpu"}, id="of-no-effect"),
    ],
)
def test_encodes_as_the_original(
    original: SparseEncoder, encoder: SparseTextEncoder, method: str, inputs: Any, options: dict[str, Any]
) -> None:
    assert_alike(getattr(original, method)(inputs, **options), getattr(encoder, method)(inputs, **options))


def test_a_list_of_tensors(original: SparseEncoder, encoder: SparseTextEncoder) -> None:
    expected = original.encode(TEXTS, convert_to_tensor=False)
    result = encoder.encode(TEXTS, convert_to_tensor=False)

    assert len(expected) == len(result)
    for one, other in zip(expected, result, strict=True):
        assert_alike(one, other)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")  # of the original's product
def test_similarity_and_decode(original: SparseEncoder, encoder: SparseTextEncoder) -> None:
    """Of the same tensors, what the original makes of them."""
    rows = encoder.encode(TEXTS, max_active_dims=9)

    torch.testing.assert_close(original.similarity(rows, rows), encoder.similarity(rows, rows))
    assert original.decode(rows) == encoder.decode(rows)
    assert original.decode(rows[0], top_k=3) == encoder.decode(rows[0], top_k=3)
    assert original.get_embedding_dimension() == encoder.get_embedding_dimension()
    assert (original.max_seq_length, original.prompts) == (encoder.max_seq_length, encoder.prompts)
