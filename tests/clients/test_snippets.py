"""The Python of README.md and docs/migration.md, in the environments of the clients that it imports."""

import re
from pathlib import Path

import client_programs
import pytest
from harness import ROOT, Server

REQUIREMENTS = Path(__file__).parent / "requirements"


def snippets(path: str, package: str) -> list[str]:
    """The blocks of a document that import from a package."""
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / path).read_text(), re.DOTALL | re.MULTILINE)
    return [block for block in blocks if f"from {package} import" in block]


@pytest.mark.parametrize(
    ("path", "package", "environment", "expected"),
    [
        pytest.param("README.md", "openai", "openai1", "384 6\n", id="openai1"),
        pytest.param("README.md", "openai", "openai2", "384 6\n", id="openai2"),
        pytest.param("README.md", "openai", "openai3", "384 6\n", id="openai3"),
        pytest.param("docs/migration.md", "huggingface_hub", "huggingface", "(2, 384)\n", id="huggingface"),
        pytest.param("docs/migration.md", "ollama", "ollama", "384\n", id="ollama"),
    ],
)
def test_a_snippet(
    server: Server, tmp_path: Path, path: str, package: str, environment: str, expected: str
) -> None:
    """It runs as it is; only the server's port is another."""
    (code,) = snippets(path, package)
    code = code.replace("http://127.0.0.1:8000", server.url)

    assert expected == client_programs.python(environment, ["-c", code], tmp_path)


def test_versions() -> None:
    """docs/migration.md names the versions that are installed."""
    lines = [line for path in REQUIREMENTS.glob("*.txt") for line in path.read_text().splitlines()]
    guide = (ROOT / "docs/migration.md").read_text()

    assert [] == [line for line in lines if not named(*line.split("=="), guide)]


def named(package: str, version: str, guide: str) -> bool:
    """Whether a line of the guide has both."""
    return any(package in line and version in line for line in guide.splitlines())
