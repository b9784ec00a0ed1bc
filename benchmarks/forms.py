"""How near artifacts are to checkpoints in the forms of newer embedders, saved by sentence-transformers 6.

    python -m benchmarks.forms [NAME ...]

The truth is each small random model before it was saved, with each of its prompts, on some of the parity
sentences and on texts up to the limit of tokens and beyond it. Token ids are compared as well.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import record
from embed_onnx import Model
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.models.tokenizer import Tokenizer
from embed_onnx_export.run import export_all

sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))
import forms


def main() -> None:
    """Measure, and write results/forms.json."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", default=[*forms.FORMS], help=", ".join(forms.FORMS))
    names = parser.parse_args().names
    record.write("forms", {name: _row(name) for name in names})


def _row(name: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / name
        original = forms.save(name, folder)
        entries = [
            Entry(name=precision, repo=name, folder=folder, precision=precision)
            for precision in ("float32", "int8")
        ]
        artifacts = Path(scratch) / "artifacts"
        exports = export_all(entries, artifacts, force=True)
        ids = [original.preprocess([text])["input_ids"][0].tolist() for text in forms.texts()]
        tokenizer = Tokenizer(
            artifacts / "int8" / "tokenizer.json", max_tokens=exports[0].manifest.max_tokens
        )
        return {
            "architecture": type(original[0].auto_model).__name__,
            "exporter": exports[0].manifest.exporter,
            "equal ids": ids == [item.ids for item in tokenizer.encode(forms.texts())],
            **{entry.precision: _cosines(original, artifacts / entry.name) for entry in entries},
        }


def _cosines(original: Any, artifact: Path) -> list[float]:
    """The mean and the least, over texts and prompts."""
    rows = []
    with Model.load(artifact, threads=1) as model:
        for prompt in (None, *original.prompts):
            vectors = model.encode(forms.texts(), prompt_name=prompt)
            rows.append(forms.cosines(forms.encode(original, prompt), vectors))
    every = np.concatenate(rows)
    return [float(every.mean()), float(every.min())]


if __name__ == "__main__":
    main()
