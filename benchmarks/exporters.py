"""Exporting all-MiniLM-L6-v2 as int8 by each exporter: seconds of CPU, in a process of its own.

    python -m benchmarks.exporters [ROUNDS]

The command as people type it, from its start to its end, imports included; optimum where `make exporters`
has installed it.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import record, stats
from embed_onnx.artifact import manifest

MODEL = "all-MiniLM-L6-v2"
OPTIMUM = Path(sys.prefix) / "exporters" / "optimum" / "bin" / "python"
PYTHONS = {"native": Path(sys.executable), "torch": Path(sys.executable), "optimum": OPTIMUM}


def main() -> None:
    """Measure in turns, and write results/exporters.json."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    pythons = {name: python for name, python in PYTHONS.items() if python.exists()}
    runs = [{name: _export(python, name) for name, python in pythons.items()} for _ in range(rounds)]
    rows = {
        name: {
            "seconds": stats.quartiles([run[name][0] for run in runs]),
            "cosine": runs[0][name][1],
        }
        for name in pythons
    }
    record.write("exporters", rows)


def _export(python: Path, exporter: str) -> tuple[float, list[float]]:
    """Seconds of CPU, and the mean and least cosine on record."""
    with tempfile.TemporaryDirectory() as scratch:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [python, "-m", "embed_onnx", "export", MODEL, "--exporter", exporter],
            cwd=scratch, check=True, capture_output=True,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        parity = manifest.read(Path(scratch) / "artifacts" / MODEL).parity
        return seconds, [parity.cosine_mean, parity.cosine_min]


if __name__ == "__main__":
    main()
