"""The programs of examples/, each run as its users run it, against a live server where it needs one."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import npm
import pytest
from harness import ROOT, Server, clean_environment

EXAMPLES = ROOT / "examples"

Run = Callable[..., str]


@pytest.fixture
def run(home: Path, server: Server) -> Run:
    """Run a command beside the artifacts, with the server in the variables of OpenAI's clients."""

    def start(*command: str | Path, cwd: Path = home) -> str:
        variables = {"OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": "unused"}
        done = subprocess.run(
            command,
            cwd=cwd,
            env=clean_environment() | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return start


@pytest.fixture(scope="session")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which Node finds OpenAI's client."""
    return npm.install(tmp_path_factory.mktemp("node"), "openai@7")


def test_every_example_is_short_and_run_here() -> None:
    """Under 30 lines each, described in the folder's README, and named in a test of this file."""
    names = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".mjs", ".sh")}
    listed = (EXAMPLES / "README.md").read_text()
    tests = Path(__file__).read_text()

    assert all(len((EXAMPLES / name).read_text().splitlines()) < 30 for name in names)
    assert [] == [name for name in names if f"`{name}`" not in listed or f'"{name}"' not in tests]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(
            "openai_client.py", "dimensions: 256\nsimilarity: 0.73\ntokens: 13\n", id="openai_client"
        ),
        pytest.param("openai_async.py", "vectors: 1000 of 384\n", id="openai_async"),
        pytest.param("langchain_client.py", "found: Interest rates rose again. 0.32\n", id="langchain"),
        pytest.param("langchain_in_process.py", "found: Interest rates rose again. 0.32\n", id="in-process"),
        pytest.param("llamaindex_client.py", "found: Interest rates rose again. 0.32\n", id="llamaindex"),
    ],
)
def test_python(run: Run, name: str, expected: str) -> None:
    assert_nearly(expected, run(sys.executable, EXAMPLES / name))


def test_node(run: Run, node_folder: Path) -> None:
    """The script lies beside the packages that npm installed, as in its user's project."""
    shutil.copy(EXAMPLES / "openai_node.mjs", node_folder)

    log = run("node", "openai_node.mjs", cwd=node_folder)

    assert_nearly("dimensions: 256\nsimilarity: 0.73\ntokens: 13\n", log)


def test_curl(run: Run) -> None:
    answer = msgspec.json.decode(run("sh", EXAMPLES / "curl.sh"))

    assert [8, 8] == [len(item["embedding"]) for item in answer["data"]]


def test_a_folder_is_searched(run: Run, tmp_path: Path) -> None:
    """The file that the query is about comes first, with FAISS, without a server."""
    for name, text in {
        "cat.txt": "The cat sleeps on the sofa.",
        "bank/rates.txt": "Interest rates rose again.",
        "soup.txt": "The soup needs more salt.",
        "goal.txt": "He scored twice.",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    lines = run(sys.executable, EXAMPLES / "search_folder.py", tmp_path, "money").splitlines()

    assert 3 == len(lines)
    assert lines[0].endswith(str(tmp_path / "bank/rates.txt"))


def assert_nearly(expected: str, log: str) -> None:
    """The same words, and numbers that differ by no more than int8 on another processor makes them."""
    pairs = zip(expected.split(), log.split(), strict=True)

    assert all(theirs == ours or abs(float(theirs) - float(ours)) < 0.05 for theirs, ours in pairs)
