"""The README is true: its tables are generated, its commands and code run."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from harness import MINILM, ROOT, Server, clean_environment, embed

from embed_onnx import settings

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of a language."""
    result = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [content for named, content in result if named == language]


def between(start: str, end: str) -> str:
    return README.split(start)[1].split(end)[0].strip()


def shell(command: str, cwd: Path) -> str:
    path = f"{Path(sys.executable).parent}:{clean_environment()['PATH']}"
    environment = clean_environment() | {"PATH": path}
    done = subprocess.run(
        command, shell=True, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_settings_table() -> None:
    """Made by the settings themselves: ``python -c 'from embed_onnx import settings; ...'``."""
    assert settings.markdown_table() == between("<!-- settings -->", "<!-- /settings -->")


def test_figures_are_those_of_the_results() -> None:
    """The table of figures says what benchmarks/results say."""
    shell(f"{sys.executable} -m benchmarks.tables --check", ROOT)


def test_file_tree_is_complete() -> None:
    """Every file of the packages has its remark, and there is no other."""
    tree = (ROOT / "docs" / "layout.md").read_text(encoding="utf-8")
    named = re.findall(r"^ +(?:\w+/)*(\w+\.py) ", tree, re.MULTILINE)
    files = [path for folder in ("embed_onnx", "export") for path in (ROOT / folder).rglob("*.py")]
    names = [path.name for path in files if path.parent.name != "kernels" and not path.name.startswith("__")]

    assert sorted(names) == sorted(named)


def test_curl(server: Server, tmp_path: Path) -> None:
    (command,) = [block for block in blocks("bash") if block.startswith("curl http")]

    answer = json.loads(shell(command.replace("http://127.0.0.1:8000", server.url), tmp_path))

    assert [384, 384] == [len(item["embedding"]) for item in answer["data"]]


@pytest.mark.parametrize("place", [0, 1], ids=["openai", "in-process"])
def test_python(server: Server, home: Path, place: int) -> None:
    """The Python blocks run as they are; only the server's port is another."""
    code = blocks("python")[place].replace("http://127.0.0.1:8000", server.url)

    done = subprocess.run([sys.executable, "-c", code], cwd=home, capture_output=True, text=True, check=True)

    assert ["384 6\n", "(2, 128) float32\n"][place] == done.stdout


def test_commands(home: Path, tmp_path: Path) -> None:
    """Every ``embed-onnx`` command of the README, but for serve, which the other tests run."""
    (block,) = [block for block in blocks("bash") if block.startswith("embed-onnx serve")]
    (home / "texts.txt").write_text("a line\nanother\n")

    for line in block.splitlines()[1:]:
        shell(line.partition("  #")[0], home)

    assert (home / "vectors.npy").exists()


def test_error_example(server: Server) -> None:
    """The error shown is the one that is sent."""
    (example,) = blocks("json")

    answer = embed(server.url, "x", dimensions=999)

    assert json.loads(example) == answer.json()


def test_models_example(tmp_path: Path) -> None:
    from embed_onnx.artifact import models_txt

    (example,) = [block for block in blocks("") if block.startswith(MINILM)]
    (tmp_path / "models.txt").write_text(example)

    entries = models_txt.read(tmp_path / "models.txt")

    names = [MINILM, "BAAI/bge-small-en-v1.5", "support-v2", "intfloat/e5-small-v2"]
    assert names == [entry.name for entry in entries]
    assert {"query": "query: ", "document": "passage: "} == entries[-1].overrides.prompts


def test_make_verbs() -> None:
    """The Makefile has what the README and the workflow call."""
    makefile = (ROOT / "Makefile").read_text()

    for verb in ("setup", "serve", "test", "check", "clean"):
        assert re.search(rf"^{verb}:", makefile, re.MULTILINE)
