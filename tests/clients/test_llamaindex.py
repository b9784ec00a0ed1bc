"""LlamaIndex's embeddings for servers like OpenAI's, for Ollama and for text-embeddings-inference."""

import numpy as np
import pytest
from client_programs import Drive, Outcomes


@pytest.fixture(scope="module")
def outcomes(drive: Drive) -> Outcomes:
    return drive("llamaindex", "llamaindex_client.py")


@pytest.mark.parametrize(
    "case",
    ["openai_like_texts", "openai_like_async", "ollama_texts", "ollama_async", "tei_texts", "tei_async"],
)
def test_vectors(outcomes: Outcomes, expected: np.ndarray, case: str) -> None:
    assert np.allclose(expected, outcomes[case].vectors, atol=1e-6)


def test_dimensions(outcomes: Outcomes, expected_8: np.ndarray) -> None:
    assert np.array_equal(expected_8, outcomes["openai_like_dimensions"].vectors)
