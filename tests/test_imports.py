"""The shape of the code: imports point one way, and serving loads nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "embed_onnx"
LAYERS = [
    "errors",
    "signals",
    "child",
    "cgroup",
    "cpu",
    "forks",
    "manifest",
    "models_file",
    "origins",
    "settings",
    "keys",
    "options",
    "foreign",
    "surrogates",
    "body",
    "wire",
    "pooling",
    "dtypes",
    "native",
    "literal_tokens",
    "tokenizer",
    "stop",
    "encoder",
    "fair_queue",
    "shared_queue",
    "jobs",
    "speed",
    "lane",
    "late",
    "scheduler",
    "model",
    "adapters",
    "catalog",
    "registry",
    "logs",
    "metrics",
    "tracing",
    "routes",
    "model_list",
    "azure",
    "page",
    "docs",
    "tei",
    "ollama",
    "ollama_models",
    "admission",
    "memory",
    "app",
    "protocol",
    "listening",
    "server",
    "workers",
    "bulk.inputs",
    "bulk.parquet",
    "bulk.records",
    "bulk.lines",
    "bulk.json_lines",
    "bulk.separated",
    "bulk.readers",
    "bulk.writers",
    "bulk.journal",
    "bulk.progress",
    "bulk.run",
    "ray_env",
    "ray_data",
    "ray_proxy",
    "ray_app",
    "tables",
    "health",
    "cli",
    "__main__",
]
"""A file of the package imports only from files before it."""
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


def test_every_file_has_its_place() -> None:
    assert set(LAYERS) == set(FILES)


@pytest.mark.parametrize("name", LAYERS)
def test_imports_point_one_way(name: str) -> None:
    ours = {full.removeprefix("embed_onnx.") for full in imported(FILES[name])}

    assert ours & set(LAYERS) <= set(LAYERS[: LAYERS.index(name)])


@pytest.mark.parametrize(
    ("package", "owners"),
    [
        ("onnxruntime", ["encoder"]),
        ("tokenizers", ["tokenizer"]),
        ("uvicorn", ["protocol", "server"]),
        ("uvicorn.protocols", ["protocol"]),
        ("httptools", ["protocol"]),
        ("prometheus_client", ["metrics"]),
        ("pyarrow", ["bulk.parquet", "ray_data"]),
        ("ray", ["ray_app", "ray_data", "ray_env"]),
    ],
)
def test_one_file_owns_a_library(package: str, owners: list[str]) -> None:
    """Each library is wrapped in one place; of uvicorn, the protocol is one and the process the other."""
    users = [
        user
        for user, path in FILES.items()
        if any(f"{name}.".startswith(f"{package}.") for name in imported(path))
    ]

    assert owners == sorted(users)


def test_only_the_command_line_knows_of_export() -> None:
    users = [
        user for user, path in FILES.items() if any(name.split(".")[0] == "export" for name in imported(path))
    ]

    assert ["cli"] == users


@pytest.mark.parametrize(
    "module", ["embed_onnx.server", "embed_onnx.cli", "embed_onnx.bulk.run", "embed_onnx"]
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
        "from embed_onnx.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'onnxruntime', 'numpy', 'litestar', 'tokenizers'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "--queue-tokens" in done.stdout
    assert "[]" == done.stdout.splitlines()[-1]
