"""Haystack's embedders, 2 and 3, with their defaults."""

from collections.abc import Callable
from pathlib import Path

import client_programs
import numpy as np
import pytest
from client_programs import Drive, Outcomes
from harness import MINILM, Server


@pytest.fixture(scope="module", params=["haystack2", "haystack3"])
def outcomes(request: pytest.FixtureRequest, drive: Drive) -> Outcomes:
    return drive(request.param, "haystack_client.py")


@pytest.mark.parametrize("case", ["tei_documents", "tei_documents_async"])
def test_documents_are_not_normalized(outcomes: Outcomes, expected: np.ndarray, case: str) -> None:
    """Its default asks for the vectors before Normalize: the same directions, other lengths."""
    vectors = outcomes[case].vectors
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)

    assert np.all(np.abs(lengths - 1) > 0.01)
    assert np.allclose(expected, vectors / lengths, atol=1e-6)


def test_a_text_is_not_normalized(outcomes: Outcomes) -> None:
    """A query and a document of the same text have the same vector."""
    assert np.array_equal(outcomes["tei_documents"].vectors[0], outcomes["tei_text"].vectors)


@pytest.mark.parametrize("case", ["tei_documents_normalized", "openai_documents"])
def test_documents(outcomes: Outcomes, expected: np.ndarray, case: str) -> None:
    assert np.allclose(expected, outcomes[case].vectors, atol=1e-6)


@pytest.mark.parametrize("case", ["tei_text_normalized", "openai_text"])
def test_a_text(outcomes: Outcomes, expected: np.ndarray, case: str) -> None:
    assert np.allclose(expected[0], outcomes[case].vectors, atol=1e-6)


def test_an_empty_document(outcomes: Outcomes, expected: np.ndarray) -> None:
    """On TEI's route it has the vector of the empty text, and its neighbours have theirs."""
    vectors = outcomes["tei_an_empty_document"].vectors

    assert np.allclose(expected[:2], vectors[[0, 2]], atol=1e-6)
    assert np.isclose(1, np.linalg.norm(vectors[1]), atol=1e-6)


def test_an_empty_document_for_openai(outcomes: Outcomes) -> None:
    """OpenAI refuses empty texts, and Haystack then goes on without the vectors of the whole batch."""
    assert [None, None, None] == outcomes["openai_an_empty_document"].answer


def test_an_empty_document_as_zeros(
    serve: Callable[..., Server], expected: np.ndarray, tmp_path: Path
) -> None:
    """With the setting for it, its neighbours have their vectors."""
    server = serve("--empty-texts", "zero", "--api-keys", "a-key")

    outcomes = client_programs.run("haystack3", "haystack_client.py", [server.url, "a-key", MINILM], tmp_path)

    zeros = np.zeros_like(expected[0])
    assert np.array_equal([expected[0], zeros, expected[1]], outcomes["openai_an_empty_document"].vectors)


def test_a_wrong_key(outcomes: Outcomes) -> None:
    assert "HfHubHTTPError" in outcomes["tei_wrong_key"].kinds
    assert "401" in outcomes["tei_wrong_key"].message
