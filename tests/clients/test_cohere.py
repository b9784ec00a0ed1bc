"""Vectors by Cohere's own clients, in Python and for Node, and by LangChain's class for it."""

import base64
import json
import subprocess
from pathlib import Path

import client_programs
import npm
import numpy as np
import pytest
from client_programs import TEXTS, Drive, Outcomes
from harness import MINILM, Server

PACKAGE = "cohere-ai@8.1.0"


@pytest.fixture(scope="module", params=["cohere", "langchain_cohere"])
def outcomes(drive: Drive, request: pytest.FixtureRequest) -> Outcomes:
    """Of the newest client, and of the fifth version, which LangChain's class has."""
    return drive(request.param, "cohere_embed.py")


@pytest.fixture(scope="module")
def langchain(drive: Drive) -> Outcomes:
    return drive("langchain_cohere", "langchain_cohere_client.py")


@pytest.mark.parametrize("case", ["first_version", "second_version", "inputs", "at_once"])
def test_vectors(outcomes: Outcomes, expected: np.ndarray, case: str) -> None:
    assert np.array_equal(expected, outcomes[case].vectors)


@pytest.mark.parametrize("case", ["first_version_by_type", "second_version_by_type"])
def test_types(outcomes: Outcomes, expected_by_type: dict[str, np.ndarray], case: str) -> None:
    actual = outcomes[case].answer

    assert expected_by_type.keys() == actual.keys()
    for name, vectors in expected_by_type.items():
        assert np.array_equal(vectors, np.array(actual[name], vectors.dtype))


def test_base64(outcomes: Outcomes, expected: np.ndarray) -> None:
    assert expected.tobytes() == b"".join(map(base64.b64decode, outcomes["base64"].answer))


def test_dimensions(outcomes: Outcomes, expected_8: np.ndarray) -> None:
    assert np.array_equal(expected_8, outcomes["dimensions"].vectors)


def test_warnings(outcomes: Outcomes) -> None:
    assert ["texts that were cut at the limit of tokens: 1 of 1"] == outcomes["warnings"].answer


@pytest.mark.parametrize(
    ("case", "kind", "sentence"),
    [
        pytest.param("too_long", "BadRequestError", "texts[0] has", id="too-long"),
        pytest.param("unknown_model", "NotFoundError", "is not served", id="unknown-model"),
        pytest.param("wrong_key", "UnauthorizedError", "", id="wrong-key"),
        pytest.param("image", "BadRequestError", "only texts are read here", id="image"),
    ],
)
def test_errors_are_coheres_own(outcomes: Outcomes, case: str, kind: str, sentence: str) -> None:
    assert kind in outcomes[case].kinds
    assert sentence in outcomes[case].message


@pytest.mark.parametrize("case", ["documents", "queries", "at_once"])
def test_langchain(langchain: Outcomes, expected: np.ndarray, case: str) -> None:
    assert np.array_equal(expected, langchain[case].vectors)


def test_types_of_langchain(langchain: Outcomes, expected_by_type: dict[str, np.ndarray]) -> None:
    assert np.array_equal(expected_by_type["int8"], langchain["int8"].vectors)


def test_an_error_of_langchain(langchain: Outcomes) -> None:
    assert "NotFoundError" in langchain["unknown_model"].kinds


def test_node(
    served: Server,
    key: str,
    expected: np.ndarray,
    expected_by_type: dict[str, np.ndarray],
    tmp_path: Path,
) -> None:
    folder = npm.install(tmp_path, PACKAGE)
    program = client_programs.PROGRAMS / "cohere_client.mjs"
    (folder / program.name).write_text(program.read_text())

    done = subprocess.run(
        ["node", program.name, served.url, key, MINILM, *TEXTS],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert np.array_equal(expected, np.array(answer["first"], np.float32))
    assert np.array_equal(expected, np.array(answer["second"]["float"], np.float32))
    for name in ("int8", "ubinary"):
        assert np.array_equal(expected_by_type[name], answer["second"][name])
    assert answer["meta"]["billedUnits"]["inputTokens"] > 0
    assert {"kind": "NotFoundError", "status": 404} == answer["failure"]
