"""The README and the pages are true: their tables are generated, their commands and code run."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from harness import MINILM, ROOT, Server, clean_environment, embed

from embed_onnx import settings

README_LINES = 150
"""What is read before anything is installed."""


def page(name: str) -> str:
    """The README, or a page of docs."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    """The code blocks of a language in a page."""
    result = re.findall(r"^```(\w*)\n(.*?)^```$", page(name), re.DOTALL | re.MULTILINE)
    return [content for named, content in result if named == language]


def between(name: str, start: str, end: str) -> str:
    return page(name).split(start)[1].split(end)[0].strip()


def shell(command: str, cwd: Path) -> str:
    path = f"{Path(sys.executable).parent}:{clean_environment()['PATH']}"
    environment = clean_environment() | {"PATH": path}
    done = subprocess.run(
        command, shell=True, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_readme_is_short() -> None:
    assert len(page("README.md").splitlines()) <= README_LINES


def test_settings_table() -> None:
    """Made by the settings themselves: ``python -c 'from embed_onnx import settings; ...'``."""
    table = between("docs/operating.md", "<!-- settings -->", "<!-- /settings -->")

    assert settings.markdown_table() == table


def test_figures_are_those_of_the_results() -> None:
    """The tables of figures say what benchmarks/results say."""
    shell(f"{sys.executable} -m benchmarks.tables --check", ROOT)


def test_file_tree_is_complete() -> None:
    """Every file of the packages has its remark, and there is no other."""
    tree = (ROOT / "docs" / "layout.md").read_text(encoding="utf-8")
    named = re.findall(r"^ +(?:\w+/)*(\w+\.py) ", tree, re.MULTILINE)
    files = [path for folder in ("embed_onnx", "export") for path in (ROOT / folder).rglob("*.py")]
    names = [path.name for path in files if path.parent.name != "kernels" and not path.name.startswith("__")]

    assert sorted(names) == sorted(named)


@pytest.mark.parametrize(("name", "count"), [("README.md", 2), ("docs/getting-started.md", 1)])
def test_curl(server: Server, tmp_path: Path, name: str, count: int) -> None:
    (command,) = [block for block in blocks(name, "bash") if block.startswith("curl http")]

    answer = json.loads(shell(command.replace("http://127.0.0.1:8000", server.url), tmp_path))

    assert [384] * count == [len(item["embedding"]) for item in answer["data"]]


@pytest.mark.parametrize(
    ("name", "place", "output"),
    [
        pytest.param("README.md", 0, "384 6\n", id="openai"),
        pytest.param("docs/commands.md", 0, "(2, 128) float32\n", id="in-process"),
        pytest.param("docs/commands.md", 1, "(1, 3, 384)\n", id="onnxruntime"),
    ],
)
def test_python(server: Server, home: Path, name: str, place: int, output: str) -> None:
    """The Python blocks run as they are; only the server's port is another."""
    code = blocks(name, "python")[place].replace("http://127.0.0.1:8000", server.url)

    done = subprocess.run([sys.executable, "-c", code], cwd=home, capture_output=True, text=True, check=True)

    assert output == done.stdout


def test_commands(home: Path, tmp_path: Path) -> None:
    """Every ``embed-onnx`` command of the first block, but for serve, which the other tests run."""
    (block,) = [block for block in blocks("docs/commands.md", "bash") if block.startswith("embed-onnx serve")]
    (home / "texts.txt").write_text("a line\nanother\n")

    for line in block.splitlines()[1:]:
        shell(line.partition("  #")[0], home)

    assert (home / "vectors.npy").exists()


def test_a_first_search(home: Path, tmp_path: Path) -> None:
    """The file of texts, the command and the program of getting started, one after the other."""
    name = "docs/getting-started.md"
    file, command = [block for block in blocks(name, "bash") if "texts.txt" in block]
    (program,) = blocks(name, "python")
    (tmp_path / "artifacts").symlink_to(home / "artifacts")

    shell(file, tmp_path)
    shell(command.removeprefix(".venv/bin/"), tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    first, *others = done.stdout.splitlines()
    assert (first.endswith("We pay your money back within 30 days."), len(others)) == (True, 2)


def test_error_example(server: Server) -> None:
    """The error shown is the one that is sent."""
    (example,) = blocks("docs/api.md", "json")

    answer = embed(server.url, "x", dimensions=999)

    assert json.loads(example) == answer.json()


def test_models_example(tmp_path: Path) -> None:
    from embed_onnx.artifact import models_txt

    (example,) = [block for block in blocks("docs/models.md", "") if block.startswith(MINILM)]
    (tmp_path / "models.txt").write_text(example)

    entries = models_txt.read(tmp_path / "models.txt")

    names = [MINILM, "BAAI/bge-small-en-v1.5", "support-v2", "intfloat/e5-small-v2"]
    assert names == [entry.name for entry in entries]
    assert {"query": "query: ", "document": "passage: "} == entries[-1].overrides.prompts


def test_make_verbs() -> None:
    """The Makefile has what the pages and the workflow call."""
    makefile = (ROOT / "Makefile").read_text()

    for verb in ("setup", "serve", "test", "check", "clean"):
        assert re.search(rf"^{verb}:", makefile, re.MULTILINE)
