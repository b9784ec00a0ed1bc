"""The exporter optimum, in an environment of its own with transformers 4, which ``make exporters`` makes."""

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import small_models
from harness import ROOT
from sentence_transformers import SentenceTransformer
from stacks import edit

from embed_onnx.artifact import manifest
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import compare, onnx_file, states
from embed_onnx_export.graph.exporters import optimum

ENVIRONMENT = ROOT / ".venv" / "exporters" / "optimum"
BY_FILE = "PreTrainedTokenizerFast"
"""The class of a tokenizer that both versions read from tokenizer.json."""
EXPORTED = ("bert", "electra", "mpnet")


class Exports(NamedTuple):
    """A folder of checkpoints and their artifacts, and what the export said."""

    folder: Path
    messages: str


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    """Checkpoints that transformers 5 has saved, exported in one process on transformers 4."""
    if not (ENVIRONMENT / ".made").exists():
        log = ENVIRONMENT.with_suffix(".log")
        lines = log.read_text().splitlines() if log.exists() else []
        pytest.skip(f"no environment optimum: {lines[-1] if lines else '`make exporters` makes it'}")
    folder = tmp_path_factory.mktemp("optimum")
    for name in (*EXPORTED, "qwen3"):
        small_models.save(folder / name, name)
        edit(folder / name / "tokenizer_config.json", tokenizer_class=BY_FILE)
    shutil.copytree(folder / "qwen3", folder / "newer-class")
    edit(folder / "newer-class" / "tokenizer_config.json", tokenizer_class="TokenizersBackend")
    names = (*EXPORTED, "qwen3", "newer-class")
    (folder / "models.txt").write_text("".join(f"./{name} precision=float32\n" for name in names))
    command = [ENVIRONMENT / "bin" / "python", "-m", "embed_onnx", "export", "--exporter", "optimum"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert 1 == done.returncode, done.stderr
    return Exports(folder, " ".join(done.stderr.split()))


@pytest.mark.parametrize("name", EXPORTED)
def test_states_are_those_of_transformers_5(exports: Exports, name: str) -> None:
    """Of a checkpoint whose weights and config transformers 5 has saved, exported on transformers 4."""
    artifact = exports.folder / "artifacts" / name

    assert "optimum" == manifest.read(artifact).exporter
    model = SentenceTransformer(str(exports.folder / name), device="cpu")[0].auto_model
    graph = onnx_file.session(artifact / "model.onnx")
    for length in (1, 7, 40):
        ids = np.random.default_rng(length).integers(5, 60, (1, length))
        expected = compare.of_pytorch(model)(ids, np.ones_like(ids))
        actual = onnx_file.states(graph, ids, np.ones_like(ids))
        np.testing.assert_allclose(expected, actual, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("qwen3", "rope_parameters in its config.json, which Qwen3Config of transformers 4.57"),
        ("newer-class", "was saved by transformers 5, and transformers 4.57"),
    ],
)
def test_a_checkpoint_that_transformers_4_reads_otherwise_is_refused(
    exports: Exports, name: str, sentence: str
) -> None:
    assert sentence in exports.messages
    assert not (exports.folder / "artifacts" / name).exists()


def test_without_optimum_onnx_it_is_refused(tmp_path: Path) -> None:
    """By its name, before anything of it is imported."""
    assert not optimum.is_installed()
    module = SentenceTransformer(str(small_models.save(tmp_path / "saved")), device="cpu")[0]

    with pytest.raises(ExportError, match=r"optimum-onnx is not installed.*\[optimum\]'"):
        states.write(module, tmp_path / "model.onnx", max_tokens=48, exporter="optimum")
