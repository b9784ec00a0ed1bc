"""Texts up to a model's own limit, on one core: a ModernBERT of base size with random weights.

    python -m benchmarks.long_texts --folder long [--tokens 512 2048 4096 8192] [--rounds 1]

Each figure is of a process of its own, and engines take turns. The native kernels run the artifact. The
graphs of operators are those of architectures without kernels, with attention in blocks and, to compare,
without. What the folder has already is not made again.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import modern, record, stats
from embed_onnx_export.graph import quantize, states
from embed_onnx_export.graph.long_texts import attention

WORKER = Path(__file__).parent / "workers" / "long_text.py"
NATIVE, PYTORCH = "int8, native kernels", "sentence-transformers, PyTorch"
INT8, FLOAT32, OLD = "int8, operators", "float32, operators", "int8, operators, without blocks"
ENGINES = {
    NATIVE: ("native", "artifacts/model"),
    INT8: ("onnx", "int8.onnx"),
    FLOAT32: ("onnx", "float32.onnx"),
    OLD: ("onnx", "old.onnx"),
    PYTORCH: ("pytorch", "checkpoint"),
}
MOST_WITHOUT_BLOCKS = 2048
"""Tokens; of more, several scores at once need more memory than many machines have."""


def main() -> None:
    """Measure, and write results/long_texts.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the model and its graphs are kept")
    parser.add_argument("--tokens", type=int, nargs="+", default=[512, 2048, 4096, 8192])
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    _make(arguments.folder)
    rounds = [
        {tokens: _round(arguments.folder, tokens) for tokens in arguments.tokens}
        for _ in range(arguments.rounds)
    ]
    rows = {
        str(tokens): {
            engine: _median([one[tokens][engine] for one in rounds]) for engine in rounds[0][tokens]
        }
        for tokens in arguments.tokens
    }
    record.write("long_texts", {"model": "ModernBERT of base size, 22 layers of 768", "tokens": rows})


def _make(folder: Path) -> None:
    """Write the checkpoint and the graphs that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "checkpoint").exists():
        modern.modernbert(folder / "checkpoint")
    if not (folder / "artifacts").exists():
        modern.export(folder / "checkpoint", folder / "artifacts")
    for name, short in (("int8.onnx", attention.SHORT), ("old.onnx", modern.LIMIT)):
        if not (folder / name).exists():
            attention.SHORT = short
            _graphs(folder, name)


def _graphs(folder: Path, name: str) -> None:
    from sentence_transformers import SentenceTransformer

    module = SentenceTransformer(str(folder / "checkpoint"), device="cpu")[0]
    float32 = folder / ("float32.onnx" if name == "int8.onnx" else "old_float32.onnx")
    states.write(module, float32, max_tokens=modern.LIMIT)
    quantize.quantize(float32, folder / name)


def _round(folder: Path, tokens: int) -> dict[str, dict[str, float]]:
    engines = [engine for engine in ENGINES if engine != OLD or tokens <= MOST_WITHOUT_BLOCKS]
    return {engine: _run(folder, engine, tokens) for engine in engines}


def _run(folder: Path, engine: str, tokens: int) -> dict[str, float]:
    kind, name = ENGINES[engine]
    command = [sys.executable, str(WORKER), kind, str(folder / name), str(tokens)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    row: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(tokens, engine, row, flush=True)
    return row


def _median(rows: list[dict[str, Any]]) -> dict[str, float]:
    return {name: stats.quartiles([row[name] for row in rows])[1] for name in rows[0]}


if __name__ == "__main__":
    main()
