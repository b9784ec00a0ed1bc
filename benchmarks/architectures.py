"""Which architectures can be exported: a small random model of each, through the real pipeline.

    python -m benchmarks.architectures [NAME ...]

Records how far float32 and int8 artifacts are from sentence-transformers on the parity sentences, texts
beyond the limit of 160 tokens and beyond every window of attention among them; or why there is none.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks import record
from embed_onnx.artifact import manifest
from embed_onnx.artifact.models_txt import Entry
from embed_onnx_export.errors import ExportError
from embed_onnx_export.run import export_all

sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))
import small_models


def main() -> None:
    """Measure, and write results/architectures.json."""
    torch.set_num_threads(1)
    known = [*small_models.ARCHITECTURES, *small_models.OTHERS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", default=known, help=", ".join(known))
    names = parser.parse_args().names
    record.write("architectures", {name: _row(name) for name in sorted(names)})


def _row(name: str) -> dict[str, Any]:
    """The figures of an architecture, or the reason why there are none."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = small_models.save(Path(scratch) / name, name)
        try:
            artifacts = {kind: _export(folder, kind) for kind in ("float32", "int8")}
        except ExportError as err:
            return {"refused": str(err)}
    float32, int8 = artifacts["float32"], artifacts["int8"]
    quantization = int8.quantization
    assert quantization is not None
    return {
        "kernels": quantization.no_kernel is None,
        "float32": float32.parity.cosine_min,
        "int8": [int8.parity.cosine_mean, int8.parity.cosine_min],
    }


def _export(folder: Path, precision: Any) -> manifest.Manifest:
    entry = Entry(name=f"{folder.name}-{precision}", repo=folder.name, folder=folder, precision=precision)
    artifacts = folder.with_name("artifacts")
    export_all([entry], artifacts, force=True)
    return manifest.read(artifacts / entry.name)


if __name__ == "__main__":
    main()
