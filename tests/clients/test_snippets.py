"""The Python of the README and the guides, in the environments of the clients that it imports."""

from pathlib import Path

import client_programs
import pytest
from client_programs import MONEY, SNIPPET_TEXTS
from harness import ROOT, WEB, Server

REQUIREMENTS = Path(__file__).parent / "requirements"
GUIDES = ("docs/migration.md", "docs/recipes.md", "docs/sparse.md")


@pytest.mark.parametrize(
    ("path", "package", "environment", "expected"),
    [
        pytest.param("README.md", "openai", "openai1", "384 6\n", id="openai1"),
        pytest.param("README.md", "openai", "openai2", "384 6\n", id="openai2"),
        pytest.param("README.md", "openai", "openai3", "384 6\n", id="openai3"),
        pytest.param("docs/migration.md", "huggingface_hub", "huggingface", "(2, 384)\n", id="huggingface"),
        pytest.param("docs/migration.md", "ollama", "ollama", "384\n", id="ollama"),
        pytest.param("docs/recipes.md", "qdrant_client", "qdrant", f"{MONEY}\n", id="qdrant"),
        pytest.param(
            "docs/recipes.md", "chromadb.utils.embedding_functions", "chroma", f"{MONEY}\n", id="chroma"
        ),
    ],
)
def test_a_snippet(
    server: Server, tmp_path: Path, path: str, package: str, environment: str, expected: str
) -> None:
    """It runs as it is; only the server's port is another."""
    (code,) = client_programs.snippets(path, package)
    code = code.replace("http://127.0.0.1:8000", server.url)

    assert expected == client_programs.python(environment, ["-c", code], tmp_path)


def test_the_snippets_of_token_vectors(tokens_server: Server, tmp_path: Path) -> None:
    """What Qdrant finds is what this server ranks best."""
    outputs = []
    for package in ("base64", "qdrant_client"):
        (code,) = client_programs.snippets("docs/token-vectors.md", package)
        code = code.replace("http://127.0.0.1:8000", tokens_server.url)
        outputs.append(client_programs.python("qdrant", ["-c", code], tmp_path))

    assert 3 == outputs[0].count(", 16)")
    fields = {"query": "interest rates", "documents": SNIPPET_TEXTS}
    (best, *_) = WEB.post(f"{tokens_server.url}/v1/rerank", json=fields).json()["results"]
    assert f"{SNIPPET_TEXTS[best['index']]}\n" == outputs[1]


def test_versions() -> None:
    """The guides name the versions that are installed."""
    lines = [line for path in REQUIREMENTS.glob("*.txt") for line in path.read_text().splitlines()]
    guide = "\n".join((ROOT / name).read_text() for name in GUIDES)

    assert [] == [line for line in lines if not named(*line.split("=="), guide)]


def named(package: str, version: str, guide: str) -> bool:
    """Whether a line of the guide has both."""
    return any(package in line and version in line for line in guide.splitlines())
