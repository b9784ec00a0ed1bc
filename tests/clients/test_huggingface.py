"""The hub's client for inference against the routes of text-embeddings-inference."""

import numpy as np
import pytest
from client_programs import Drive, Outcomes

from embed_onnx import Model


@pytest.fixture(scope="module")
def outcomes(drive: Drive) -> Outcomes:
    return drive("huggingface", "huggingface_client.py")


@pytest.mark.parametrize("case", ["texts", "texts_of_embed", "texts_async", "normalized"])
def test_vectors(outcomes: Outcomes, expected: np.ndarray, case: str) -> None:
    assert np.allclose(expected, outcomes[case].vectors, atol=1e-6)


def test_one_text(outcomes: Outcomes, expected: np.ndarray) -> None:
    assert np.allclose(expected[:1], outcomes["one_text"].vectors, atol=1e-6)


def test_dimensions(outcomes: Outcomes, expected_8: np.ndarray) -> None:
    assert np.allclose(expected_8, outcomes["dimensions"].vectors, atol=1e-6)


def test_not_normalized(outcomes: Outcomes, expected: np.ndarray) -> None:
    """The vectors before Normalize: the same directions, other lengths."""
    vectors = outcomes["not_normalized"].vectors
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)

    assert np.all(np.abs(lengths - 1) > 0.01)
    assert np.allclose(expected, vectors / lengths, atol=1e-6)


def test_cut_on_the_left(outcomes: Outcomes, minilm: Model) -> None:
    """Of 256 tokens, two are special, and the words of the end are six."""
    assert np.allclose(
        minilm.encode("word " * 248 + "the end is what is left"),
        outcomes["cut_on_the_left"].vectors,
        atol=1e-6,
    )


def test_similarity(outcomes: Outcomes, expected: np.ndarray) -> None:
    assert np.allclose(expected[1:] @ expected[0], outcomes["similarity"].vectors, atol=1e-6)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        pytest.param("wrong_key", "401", id="wrong-key"),
        pytest.param("too_long", "422", id="too-long"),
        pytest.param("unknown_prompt", "422", id="unknown-prompt"),
    ],
)
def test_errors_are_the_clients_own(outcomes: Outcomes, case: str, words: str) -> None:
    assert "HfHubHTTPError" in outcomes[case].kinds
    assert words in outcomes[case].message
