"""LangChain's embeddings for OpenAI, with their defaults and as they should be set, Azure, Ollama and TEI."""

import numpy as np
import pytest
from client_programs import ENVIRONMENTS, OPENAI_VOCABULARY, Drive, Outcomes, why_not


@pytest.fixture(scope="module")
def outcomes(drive: Drive) -> Outcomes:
    return drive("langchain", "langchain_client.py")


needs_openai_vocabulary = pytest.mark.skipif(
    not any(ENVIRONMENTS.glob(OPENAI_VOCABULARY)), reason=f"OpenAI's ids: no LiteLLM, {why_not('litellm')}"
)


@needs_openai_vocabulary
@pytest.mark.parametrize("case", ["openai_defaults_query", "openai_defaults_documents"])
def test_openai_with_its_defaults(outcomes: Outcomes, case: str) -> None:
    """Ids of OpenAI's vocabulary are refused with what to set; no vector of another text is served."""
    assert "BadRequestError" in outcomes[case].kinds
    assert "check_embedding_ctx_length=False" in outcomes[case].message


@needs_openai_vocabulary
def test_no_sentence_of_foreign_ids_is_embedded(outcomes: Outcomes) -> None:
    assert [] == outcomes["openai_defaults_sentence_by_sentence"].answer


@pytest.mark.parametrize(
    "case",
    [
        "openai_texts",
        "openai_async",
        "azure",
        "ollama_texts",
        "ollama_latest",
        "ollama_alias",
        "ollama_async",
        "huggingface",
    ],
)
def test_vectors(outcomes: Outcomes, expected: np.ndarray, case: str) -> None:
    assert np.array_equal(expected, outcomes[case].vectors)


def test_dimensions(outcomes: Outcomes, expected_8: np.ndarray) -> None:
    assert np.array_equal(expected_8, outcomes["openai_dimensions"].vectors)


def test_ollama_with_a_model_that_is_not_served(outcomes: Outcomes) -> None:
    """The check at the start lists the names that there are."""
    assert "ValueError" in outcomes["ollama_unknown_model"].kinds
    assert "nomic-embed-text" in outcomes["ollama_unknown_model"].message


def test_ollama_options(outcomes: Outcomes, expected: np.ndarray) -> None:
    """A context of eight tokens cuts the longer texts; the other options change nothing."""
    vectors = outcomes["ollama_options"].vectors

    assert np.array_equal(expected[0], vectors[0])
    assert not np.allclose(expected[3], vectors[3], atol=1e-3)
