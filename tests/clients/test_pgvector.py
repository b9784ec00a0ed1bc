"""PostgreSQL with pgvector: the recipe as it stands, and what is stored and found, against numpy."""

from pathlib import Path

import client_programs
import numpy as np
import pytest
from client_programs import TEXTS, Drive, Outcomes
from harness import Server


@pytest.fixture(scope="module")
def outcomes(drive: Drive) -> Outcomes:
    return drive("pgvector", "pgvector_client.py")


def distances(outcomes: Outcomes, operator: str) -> np.ndarray:
    """Of each text by its number, checked to be sorted."""
    rows = outcomes["search"].answer[operator]
    assert len(rows) == len(TEXTS)
    assert rows == sorted(rows, key=lambda row: row[1])
    return np.array([distance for _, distance in sorted(rows)])


def test_the_recipe(server: Server, tmp_path: Path) -> None:
    (code,) = client_programs.snippets("docs/recipes.md", "pgvector")
    code = code.replace("http://127.0.0.1:8000", server.url)
    program = client_programs.PROGRAMS / "postgres.py"

    output = client_programs.python("pgvector", [str(program), code], tmp_path)

    assert output == "Interest rates rose again.\n"


def test_vectors_are_stored_to_the_bit(outcomes: Outcomes, expected: np.ndarray) -> None:
    assert np.array_equal(expected, np.array(outcomes["search"].answer["stored"], np.float32))


@pytest.mark.parametrize(("operator", "of_itself"), [("cosine", 0), ("inner_product", -1)])
def test_distances(outcomes: Outcomes, expected: np.ndarray, operator: str, of_itself: int) -> None:
    """Both operators rank alike, as vectors have length 1."""
    products = expected.astype(np.float64) @ expected[0]

    np.testing.assert_allclose(distances(outcomes, operator), 1 + of_itself - products, atol=1e-6)


def test_distances_of_bits(outcomes: Outcomes, expected_by_type: dict[str, np.ndarray]) -> None:
    """Of the vectors that ``output_dtype=ubinary`` gives, in columns of type bit."""
    bits = np.unpackbits(expected_by_type["ubinary"], axis=1)

    assert np.array_equal((bits != bits[0]).sum(axis=1), distances(outcomes, "hamming"))
