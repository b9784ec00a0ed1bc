"""The adapter for models of token vectors beside Sentence-Transformers' own class."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from harness import COLBERT
from sentence_transformers import MultiVectorEncoder

from embed_onnx import Model
from embed_onnx.errors import InvalidRequest
from embed_onnx.token_adapter import MultiVectorTextEncoder

TEXTS = ["a small model reads a few words", "numbers such as 12, and 345", "commas, and dots."]


@pytest.fixture(scope="module")
def original(tokens_home: Path) -> MultiVectorEncoder:
    return MultiVectorEncoder(str(tokens_home / "colbert"), device="cpu")


@pytest.fixture(scope="module")
def encoder(tokens_home: Path) -> Iterator[MultiVectorTextEncoder]:
    with Model.load(tokens_home / "artifacts" / COLBERT) as model:
        yield MultiVectorTextEncoder(model)


def assert_alike(expected: Any, result: Any) -> None:
    """The same type and shape, and nearly the same vectors."""
    assert (type(expected), expected.shape, expected.dtype) == (type(result), result.shape, result.dtype)
    assert (np.asarray(expected) * np.asarray(result)).sum(axis=1).min() > 0.98


@pytest.mark.parametrize("method", ["encode", "encode_query", "encode_document"])
@pytest.mark.parametrize("inputs", [TEXTS, TEXTS[0]], ids=["list", "alone"])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="defaults"),
        pytest.param({"prompt_name": "query"}, id="prompt-name"),
        pytest.param({"prompt": "about: "}, id="prompt"),
        pytest.param({"convert_to_numpy": True}, id="arrays"),
        pytest.param({"batch_size": 2, "show_progress_bar": False, "device": "cpu"}, id="of-no-effect"),
    ],
)
def test_encodes_as_the_original(
    original: MultiVectorEncoder,
    encoder: MultiVectorTextEncoder,
    method: str,
    inputs: Any,
    options: dict[str, Any],
) -> None:
    expected = getattr(original, method)(inputs, **options)
    result = getattr(encoder, method)(inputs, **options)

    if isinstance(inputs, str):
        assert_alike(expected, result)
    else:
        for each, other in zip(expected, result, strict=True):
            assert_alike(each, other)


def test_compares_as_the_original(original: MultiVectorEncoder, encoder: MultiVectorTextEncoder) -> None:
    queries, documents = original.encode_query(TEXTS), original.encode_document(TEXTS)

    for method in ("similarity", "similarity_pairwise"):
        for first, second in ((queries, documents), (queries[:1], documents[:1]), (queries[0], documents[0])):
            expected = getattr(original, method)(first, second)
            result = getattr(encoder, method)(first, second)
            assert expected.shape == result.shape
            torch.testing.assert_close(result, expected, atol=1e-4, rtol=1e-5)
    assert original.similarity_fn_name == encoder.similarity_fn_name
    assert original.get_embedding_dimension() == encoder.get_embedding_dimension()


def test_what_is_refused(encoder: MultiVectorTextEncoder) -> None:
    with pytest.raises(InvalidRequest, match="prompt_name 'title' is unknown; this model has "):
        encoder.encode(TEXTS, prompt_name="title")
    rows = encoder.encode_query(TEXTS)
    with pytest.raises(InvalidRequest, match="there are 3 queries and 2 documents"):
        encoder.similarity_pairwise(rows, rows[:2])
