"""Voyage's and Mistral's own clients, whose wires are OpenAI's with words of their own."""

import numpy as np
import pytest
from client_programs import Drive, Outcomes

PROGRAMS = {"voyage": "voyage_client.py", "mistral": "mistral_client.py"}


@pytest.fixture(scope="module", params=PROGRAMS)
def outcomes(drive: Drive, request: pytest.FixtureRequest) -> Outcomes:
    return drive(request.param, PROGRAMS[request.param])


@pytest.mark.parametrize("case", ["floats", "at_once"])
def test_vectors(outcomes: Outcomes, expected: np.ndarray, case: str) -> None:
    assert np.array_equal(expected, outcomes[case].vectors)


def test_dimensions(outcomes: Outcomes, expected_8: np.ndarray) -> None:
    assert np.array_equal(expected_8, outcomes["dimensions"].vectors)


def test_types(outcomes: Outcomes, expected_by_type: dict[str, np.ndarray]) -> None:
    actual = outcomes["by_type"].answer

    assert expected_by_type.keys() == actual.keys()
    for name, vectors in expected_by_type.items():
        assert np.array_equal(vectors, np.array(actual[name], vectors.dtype))


@pytest.mark.parametrize(
    ("environment", "case", "kind", "sentence"),
    [
        pytest.param("voyage", "too_long", "APIError", "context_length_exceeded", id="voyage-too-long"),
        pytest.param("voyage", "wrong_key", "APIError", "invalid_api_key", id="voyage-wrong-key"),
        pytest.param("mistral", "unknown_model", "SDKError", "is not served", id="mistral-unknown-model"),
    ],
)
def test_errors_say_what_is_wrong(
    drive: Drive, environment: str, case: str, kind: str, sentence: str
) -> None:
    """Voyage's client knows the form of Voyage's errors alone, and shows others as they are."""
    outcome = drive(environment, PROGRAMS[environment])[case]

    assert kind in outcome.kinds
    assert sentence in outcome.message
