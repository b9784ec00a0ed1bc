"""Results files: what was measured, by which command, on which machine, at which commit."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "embed-onnx",
    "onnxruntime",
    "tokenizers",
    "numpy",
    "torch",
    "transformers",
    "sentence-transformers",
)
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "asimddp", "i8mm")


def machine() -> dict[str, Any]:
    """The CPU, its instruction sets that matter here, and the cores this process may use."""
    info = Path("/proc/cpuinfo").read_text()
    lines = [line.partition(":") for line in info.splitlines()]
    fields = {name.strip(): value.strip() for name, _, value in reversed(lines)}
    words = fields.get("flags", fields.get("Features", "")).split()
    return {
        "cpu": fields.get("model name", platform.machine()),
        "instructions": [flag for flag in FLAGS if flag in words],
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def write(name: str, rows: dict[str, Any]) -> None:
    """Write ``results/NAME.json``; the last line on standard output says where."""
    module = Path(sys.argv[0]).stem
    given = [Path(word).name if "/" in word else word for word in sys.argv[1:]]  # nobody else's folders
    content = {
        "command": " ".join(["python", "-m", f"benchmarks.{module}", *given]),
        "commit": _commit(),
        "machine": machine(),
        "versions": {package: _version(package) for package in PACKAGES},
        "results": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(content, indent=2) + "\n")
    print(path)


def read(name: str) -> dict[str, Any]:
    """A results file."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def _commit() -> str:
    """The commit, and whether what is measured differs from it; results that are new do not count."""
    changed = _git("status", "--porcelain", "embed_onnx", "export", "benchmarks", ":!benchmarks/results")
    return _git("describe", "--always") + ("-dirty" if changed else "")


def _git(*words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=RESULTS.parents[1], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
