"""LiteLLM, which speaks to the server as to OpenAI, Azure, Ollama, TEI, NVIDIA, Voyage and others."""

import numpy as np
import pytest
from client_programs import Drive, Outcomes


@pytest.fixture(scope="module")
def outcomes(drive: Drive) -> Outcomes:
    return drive("litellm", "litellm_client.py")


@pytest.mark.parametrize(
    "provider",
    [
        "openai",
        "openai_with_floats",
        "openai_at_once",
        "azure",
        "ollama",
        "ollama_async",
        "huggingface",
        "hosted_vllm",
        "lm_studio",
        "infinity",
        "litellm_proxy",
        "nvidia_nim",
        "voyage",
        "cohere",
        "cohere_async",
        "mistral",
        "jina_ai",
    ],
)
def test_vectors(outcomes: Outcomes, expected: np.ndarray, provider: str) -> None:
    assert np.array_equal(expected, outcomes[provider].vectors)


@pytest.mark.parametrize("provider", ["openai_dimensions", "voyage_dimensions", "cohere_dimensions"])
def test_dimensions(outcomes: Outcomes, expected_8: np.ndarray, provider: str) -> None:
    assert np.array_equal(expected_8, outcomes[provider].vectors)


@pytest.mark.parametrize("provider", ["cohere_int8", "voyage_int8"])
def test_int8(outcomes: Outcomes, expected_by_type: dict[str, np.ndarray], provider: str) -> None:
    assert np.array_equal(expected_by_type["int8"], outcomes[provider].vectors)


def test_similarity(outcomes: Outcomes, expected: np.ndarray) -> None:
    """Of the first text to each of the others."""
    assert np.allclose(expected[1:] @ expected[0], outcomes["huggingface_similarity"].vectors, atol=1e-6)


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        pytest.param("unknown_model", "NotFoundError", id="unknown-model"),
        pytest.param("wrong_key", "AuthenticationError", id="wrong-key"),
        pytest.param("too_long", "ContextWindowExceededError", id="too-long"),
        pytest.param("azure_too_long", "ContextWindowExceededError", id="azure-too-long"),
        pytest.param("ollama_too_long", "BadRequestError", id="ollama-too-long"),
    ],
)
def test_errors_are_the_clients_own(outcomes: Outcomes, case: str, kind: str) -> None:
    assert kind in outcomes[case].kinds


def test_a_fallback_for_longer_texts(outcomes: Outcomes) -> None:
    """A router knows by the error that the text was too long, and asks the next entry."""
    assert (1, 384) == outcomes["too_long_with_a_fallback"].vectors.shape


def test_a_full_queue(outcomes: Outcomes) -> None:
    assert ["EmbeddingResponse", "RateLimitError"] == outcomes["overload"].answer
