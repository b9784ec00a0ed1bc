"""mem0 with Ollama's and OpenAI's embedders."""

import numpy as np
import pytest
from client_programs import Drive, Outcomes


@pytest.fixture(scope="module")
def outcomes(drive: Drive) -> Outcomes:
    return drive("mem0", "mem0_client.py")


@pytest.mark.parametrize("case", ["ollama_texts", "ollama_defaults", "openai_defaults"])
def test_vectors(outcomes: Outcomes, expected: np.ndarray, case: str) -> None:
    """Its built-in names are aliases; one that is listed is not pulled."""
    assert np.array_equal(expected, outcomes[case].vectors)


@pytest.mark.parametrize("case", ["ollama_text", "openai_text"])
def test_one_text(outcomes: Outcomes, expected: np.ndarray, case: str) -> None:
    assert np.array_equal(expected[0], outcomes[case].vectors)


def test_dimensions(outcomes: Outcomes, expected_8: np.ndarray) -> None:
    assert np.array_equal(expected_8, outcomes["openai_dimensions"].vectors)


def test_a_model_that_is_not_served(outcomes: Outcomes) -> None:
    """mem0 asks for it to be pulled; the refusal names it."""
    assert "ResponseError" in outcomes["ollama_unknown_model"].kinds
    assert "'nope'" in outcomes["ollama_unknown_model"].message


def test_a_memory(outcomes: Outcomes) -> None:
    """What was added is found by its meaning."""
    assert "Interest rates rose again." == outcomes["memory"].answer[0]
