"""OpenAI's client in its three major versions, in all the ways its users call it."""

import base64

import numpy as np
import pytest
from client_programs import Drive, Outcomes
from harness import MINILM, SMALL


@pytest.fixture(scope="module", params=["openai1", "openai2", "openai3"])
def outcomes(request: pytest.FixtureRequest, drive: Drive) -> Outcomes:
    return drive(request.param, "openai_client.py")


@pytest.mark.parametrize(
    "case",
    [
        "texts",
        "texts_as_floats",
        "without_a_version",
        "at_once",
        "azure_by_model",
        "azure_by_deployment",
        "azure_with_a_token",
        "azure_newer_form",
    ],
)
def test_vectors(outcomes: Outcomes, expected: np.ndarray, case: str) -> None:
    assert np.array_equal(expected, outcomes[case].vectors)


def test_one_text(outcomes: Outcomes, expected: np.ndarray) -> None:
    assert np.array_equal(expected[:1], outcomes["one_text"].vectors)


def test_base64_that_the_caller_decodes(outcomes: Outcomes, expected: np.ndarray) -> None:
    decoded = [np.frombuffer(base64.b64decode(text), "<f4") for text in outcomes["texts_as_base64"].answer]

    assert np.array_equal(expected, np.array(decoded))


def test_smaller_types(
    outcomes: Outcomes, expected: np.ndarray, expected_by_type: dict[str, np.ndarray]
) -> None:
    """Where the client would read them as float32 they are refused, with the way out."""
    assert "BadRequestError" in outcomes["int8"].kinds
    assert "name encoding_format float or, to read the bytes yourself, endianness" in outcomes["int8"].message
    assert np.array_equal(expected_by_type["int8"], outcomes["int8_as_numbers"].vectors)
    decoded = [np.frombuffer(base64.b64decode(text), ">f2") for text in outcomes["float16_as_base64"].answer]
    assert np.array_equal(expected.astype(np.float16), np.array(decoded))


def test_dimensions(outcomes: Outcomes, expected_8: np.ndarray) -> None:
    assert np.array_equal(expected_8, outcomes["dimensions"].vectors)


@pytest.mark.parametrize("case", ["models", "models_without_a_version", "azure_models"])
def test_models(outcomes: Outcomes, case: str) -> None:
    """Every name that can be asked for is listed, whichever base URL the client has."""
    assert {MINILM, SMALL, "text-embedding-3-small", "nomic-embed-text"} <= set(outcomes[case].answer)


def test_a_model(outcomes: Outcomes) -> None:
    assert MINILM == outcomes["model"].answer


def test_a_text_that_is_cut(outcomes: Outcomes) -> None:
    assert outcomes["cut"].answer is True


@pytest.mark.parametrize(
    ("case", "kind", "code"),
    [
        pytest.param("unknown_model", "NotFoundError", "model_not_found", id="unknown-model"),
        pytest.param("empty_text", "BadRequestError", "None", id="empty-text"),
        pytest.param("too_long", "BadRequestError", "context_length_exceeded", id="too-long"),
        pytest.param("wrong_key", "AuthenticationError", "invalid_api_key", id="wrong-key"),
        pytest.param("foreign_ids", "BadRequestError", "None", id="foreign-ids"),
        pytest.param("azure_wrong_key", "AuthenticationError", "invalid_api_key", id="azure-wrong-key"),
        pytest.param("azure_unknown_model", "NotFoundError", "model_not_found", id="azure-unknown-model"),
    ],
)
def test_errors_are_the_clients_own(outcomes: Outcomes, case: str, kind: str, code: str) -> None:
    """Each of its users' except clauses catches what it should."""
    assert kind in outcomes[case].kinds
    assert code == outcomes[case].code


def test_ids_of_another_vocabulary(outcomes: Outcomes) -> None:
    """OpenAI's ids are refused with what their usual sender can set."""
    assert "check_embedding_ctx_length=False" in outcomes["foreign_ids"].message


def test_a_full_queue(outcomes: Outcomes) -> None:
    """Some requests are refused, as the client's own error; with retries all of them succeed."""
    assert ["CreateEmbeddingResponse", "RateLimitError"] == outcomes["overload"].answer
    assert ["CreateEmbeddingResponse"] == outcomes["overload_with_retries"].answer
