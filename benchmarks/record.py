"""Results files: what was measured, by which command, on which machine, at which commit."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from embed_onnx_export.report import environment

RESULTS = Path(__file__).parent / "results"


def write(name: str, rows: dict[str, Any]) -> None:
    """Write ``results/NAME.json``; the last line on standard output says where."""
    module = Path(sys.argv[0]).stem
    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]  # nobody else's folders
    content = {
        "command": " ".join(["python", "-m", f"benchmarks.{module}", *words]),
        "commit": _commit(),
        "machine": msgspec.structs.asdict(environment.describe()),
        "versions": environment.versions(),
        "results": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(content, indent=2) + "\n")
    print(path)


def read(name: str) -> dict[str, Any]:
    """A results file."""
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return content


def machine(file: dict[str, Any]) -> str:
    """What a file's results were measured on, in words."""
    machine = file["machine"]
    return f"{machine['cores']} cores of a shared {machine['cpu']} machine"


def machine_and_instructions(file: dict[str, Any]) -> str:
    """The same, with the instruction sets in brackets."""
    return f"{machine(file)} ({', '.join(file['machine']['instructions'])})"


def _commit() -> str:
    """The commit, and whether what is measured differs from it; results that are new do not count."""
    changed = _git("status", "--porcelain", "embed_onnx", "export", "benchmarks", ":!benchmarks/results")
    return _git("describe", "--always") + ("-dirty" if changed else "")


def _git(*words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=RESULTS.parents[1], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()
