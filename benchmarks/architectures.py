"""Which architectures can be exported: a small random model of each, through the real pipeline.

    python -m benchmarks.architectures [NAME ...]

Records which exporter wrote the artifacts, how far float32 and int8 are from sentence-transformers on the
parity sentences, texts beyond the limit of 160 tokens and beyond every window of attention among them, and
how many seconds of CPU the export of int8 took; or why there is none.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks import record
from embed_onnx.artifact.models_txt import Entry
from embed_onnx_export.errors import ExportError
from embed_onnx_export.run import Export, export_all

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
            float32 = _export(folder, "float32")
            started = time.process_time()
            int8 = _export(folder, "int8")
            seconds = time.process_time() - started
        except ExportError as err:
            return {"refused": str(err)}
    quantization = int8.manifest.quantization
    assert quantization is not None
    parity = int8.manifest.parity
    return {
        "exporter": int8.manifest.exporter,
        "kernels": quantization.no_kernel is None,
        "products": quantization.kernel_products,
        "float32": float32.manifest.parity.cosine_min,
        "int8": [parity.cosine_mean, parity.cosine_min],
        "seconds": seconds,
    }


def _export(folder: Path, precision: Any) -> Export:
    entry = Entry(name=f"{folder.name}-{precision}", repo=folder.name, folder=folder, precision=precision)
    (export,) = export_all([entry], folder.with_name("artifacts"), force=True)
    return export


if __name__ == "__main__":
    main()
