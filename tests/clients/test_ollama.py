"""Ollama's own client."""

import numpy as np
import pytest
from client_programs import Drive, Outcomes
from harness import MINILM, SMALL

NAMES = {f"{name}:latest" for name in (MINILM, SMALL, "nomic-embed-text", "text-embedding-3-small")}


@pytest.fixture(scope="module")
def outcomes(drive: Drive) -> Outcomes:
    return drive("ollama", "ollama_client.py")


@pytest.mark.parametrize("case", ["texts", "latest", "alias", "texts_async", "older_route"])
def test_vectors(outcomes: Outcomes, expected: np.ndarray, case: str) -> None:
    assert np.array_equal(expected, outcomes[case].vectors)


def test_dimensions(outcomes: Outcomes, expected_8: np.ndarray) -> None:
    assert np.array_equal(expected_8, outcomes["dimensions"].vectors)


def test_a_short_context(outcomes: Outcomes, expected: np.ndarray) -> None:
    """It cuts what is longer, and only that."""
    vectors = outcomes["short_context"].vectors

    assert np.array_equal(expected[0], vectors[0])
    assert not np.allclose(expected[3], vectors[3], atol=1e-3)


def test_models(outcomes: Outcomes) -> None:
    """Every name is listed, with what the client's users read of it."""
    models = outcomes["models"].answer

    assert NAMES <= {model["model"] for model in models}
    assert all(model["size"] > 0 and model["details"]["families"] for model in models)


def test_what_runs(outcomes: Outcomes) -> None:
    assert f"{MINILM}:latest" in outcomes["running"].answer


def test_details(outcomes: Outcomes) -> None:
    assert outcomes["details"].answer["details"]["format"]


def test_a_served_model_can_be_pulled(outcomes: Outcomes) -> None:
    assert "success" == outcomes["pull"].answer
    assert "success" == outcomes["pull_as_a_stream"].answer[-1]


@pytest.mark.parametrize(
    ("case", "words"),
    [
        pytest.param("unknown_model", "'nope'", id="unknown-model"),
        pytest.param("pull_unknown", "'nope'", id="pull-unknown"),
        pytest.param("show_unknown", "'nope'", id="show-unknown"),
        pytest.param("wrong_key", "401", id="wrong-key"),
        pytest.param("too_long", "400", id="too-long"),
        pytest.param("chat", "/api/chat", id="chat"),
    ],
)
def test_errors_are_the_clients_own(outcomes: Outcomes, case: str, words: str) -> None:
    """With a sentence for a message, not an object."""
    assert "ResponseError" in outcomes[case].kinds
    assert words in outcomes[case].message
    assert not outcomes[case].message.startswith("{")
