"""The shape of the code: floors, on which imports point down, and nothing heavy in what serves."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from harness import ROOT

PACKAGE = ROOT / "embed_onnx"
GROUND = (
    *(
        "console",
        "errors",
        "files",
        "install",
        "origins",
        "setting_words",
        "settings",
        "surrogates",
        "system",
    ),
)
FLOORS = [
    [GROUND],
    [("artifact",)],
    [("engine",), ("scheduling",)],
    [("models",)],
    [("adapters", "sparse_adapter", "token_adapter"), ("observe",)],
    [("bulk",), ("http",)],
    [("ray",)],
    [("cli", "__main__")],
]
"""From the ground up, the rooms of each floor: what lies in a folder, or the files of one row. Code imports
from its own room and from floors below it."""
PLACES = {place: (floor, room) for floor, rooms in enumerate(FLOORS) for room in rooms for place in room}
DIALECTS = ("cohere", "ollama", "openai", "tei", "vllm")
"""The wires, each a file or folder of ``http/``, which know nothing of each other."""
FILES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in PACKAGE.rglob("*.py")
    if path.name != "__init__.py" and path.parent.name != "kernels"
}
"""Paths by what comes after ``embed_onnx.`` in an import."""
HEAVY = ["torch", "transformers", "optimum", "sentence_transformers", "onnx", "huggingface_hub", "ray"]


def imported(path: Path) -> set[str]:
    """The dotted names that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def ours(name: str) -> set[str]:
    """The files of this package that one of them imports."""
    names = (full for full in imported(FILES[name]) if full.startswith("embed_onnx."))
    return {full.removeprefix("embed_onnx.") for full in names} & set(FILES)


def place(name: str) -> str:
    """The folder of a file, or the file itself where it is in none."""
    return name.partition(".")[0]


def test_every_file_has_its_floor() -> None:
    assert set(PLACES) == {place(name) for name in FILES}


@pytest.mark.parametrize("name", sorted(FILES))
def test_imports_point_down(name: str) -> None:
    floor, room = PLACES[place(name)]

    upward = {other for other in ours(name) if place(other) not in room and PLACES[place(other)][0] >= floor}

    assert set() == upward


def test_no_files_import_each_other() -> None:
    TopologicalSorter({name: ours(name) for name in FILES}).prepare()  # a CycleError names them


def dialect(name: str) -> str | None:
    """The dialect that a file belongs to."""
    words = name.split(".")
    return words[1] if words[0] == "http" and words[1] in DIALECTS else None


def test_dialects_do_not_import_each_other() -> None:
    pairs = {(name, other) for name in FILES for other in ours(name) if dialect(name) and dialect(other)}

    assert {*DIALECTS} == {dialect(name) for name in FILES} - {None}
    assert set() == {(name, other) for name, other in pairs if dialect(name) != dialect(other)}


def test_only_the_app_imports_dialects() -> None:
    users = [name for name in FILES if dialect(name) is None and any(map(dialect, ours(name)))]

    assert ["http.app"] == users


@pytest.mark.parametrize(
    ("package", "owners"),
    [
        ("onnxruntime", ["engine.encoder"]),
        ("tokenizers", ["models.tokenizer"]),
        ("uvicorn", ["http.connection", "http.server"]),
        ("uvicorn.protocols", ["http.connection"]),
        ("httptools", ["http.connection"]),
        ("huggingface_hub", ["artifact.hub"]),
        ("prometheus_client", ["observe.metrics"]),
        ("pyarrow", ["bulk.columns", "bulk.formats.parquet", "ray.data"]),
        ("ray", ["ray.data", "ray.env", "ray.serve"]),
    ],
)
def test_one_file_owns_a_library(package: str, owners: list[str]) -> None:
    """Each library is wrapped in one place; of uvicorn, the connection is one and the process the other."""
    users = [
        user
        for user, path in FILES.items()
        if any(f"{name}.".startswith(f"{package}.") for name in imported(path))
    ]

    assert owners == sorted(users)


@pytest.mark.parametrize("name", sorted(name for name in FILES if place(name) == "scheduling"))
def test_scheduling_knows_sequences_by_length_only(name: str) -> None:
    """Neither what they hold nor what comes out: no file of it imports what computes."""
    assert set() == {full.partition(".")[0] for full in imported(FILES[name])} & {"numpy", "onnxruntime"}


def test_only_the_command_line_knows_of_export() -> None:
    users = [
        user
        for user, path in FILES.items()
        if any(name.split(".")[0] == "embed_onnx_export" for name in imported(path))
    ]

    assert ["cli.export"] == users


@pytest.mark.parametrize(
    "module", ["embed_onnx.http.server", "embed_onnx.cli.main", "embed_onnx.bulk.run", "embed_onnx"]
)
def test_serving_loads_nothing_heavy(module: str) -> None:
    """A fresh interpreter that imports the server or the command line has no torch in it."""
    code = f"import sys, {module}; print(sorted(set({HEAVY}) & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]\n" == done.stdout


def test_help_loads_next_to_nothing() -> None:
    """--help must be instant: neither onnxruntime nor numpy nor litestar is imported for it."""
    code = (
        "import sys; sys.argv = ['embed-onnx', 'serve', '--help']\n"
        "from embed_onnx.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'onnxruntime', 'numpy', 'litestar', 'tokenizers'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "--queue-tokens" in done.stdout
    assert "[]" == done.stdout.splitlines()[-1]
