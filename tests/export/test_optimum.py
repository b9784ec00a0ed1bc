"""The exporter optimum, in an environment of its own with transformers 4, which ``make exporters`` makes."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import small_models
from harness import ROOT
from sentence_transformers import SentenceTransformer
from stacks import edit

from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import compare, onnx_file, states
from embed_onnx_export.graph.exporters import optimum

ENVIRONMENT = ROOT / ".venv" / "exporters" / "optimum"
PROGRAM = """
import json, sys
from pathlib import Path
from embed_onnx.artifact.models_txt import Entry
from embed_onnx_export.checkpoint import sources
from embed_onnx_export.checkpoint.original import load_original
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import states
folder, output = map(Path, sys.argv[1:])
try:
    original = load_original(sources.find(Entry(name="small", repo="small", folder=folder)))
    written = states.write(original.torch[0], output, max_tokens=original.max_tokens, exporter="optimum")
    print(json.dumps({"exporter": written.exporter}))
except ExportError as err:
    print(json.dumps({"refused": str(err)}))
"""
"""Writes the float32 graph of a checkpoint."""


def run(folder: Path, output: Path) -> dict[str, str]:
    """What the program says of a checkpoint; skip the test if there is no environment."""
    if not (ENVIRONMENT / ".made").exists():
        log = ENVIRONMENT.with_suffix(".log")
        lines = log.read_text().splitlines() if log.exists() else []
        pytest.skip(f"no environment optimum: {lines[-1] if lines else '`make exporters` makes it'}")
    command = [ENVIRONMENT / "bin" / "python", "-W", "ignore", "-c", PROGRAM, folder, output]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=output.parent)
    assert done.returncode == 0, done.stderr
    answer: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.mark.parametrize("architecture", ["bert", "electra", "mpnet"])
def test_states_are_those_of_transformers_5(tmp_path: Path, architecture: str) -> None:
    """Of a checkpoint whose weights and config transformers 5 has saved, exported on transformers 4."""
    folder = small_models.save(tmp_path / "saved", architecture)
    edit(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")

    assert {"exporter": "optimum"} == run(folder, tmp_path / "model.onnx")

    model = SentenceTransformer(str(folder), device="cpu")[0].auto_model
    graph = onnx_file.session(tmp_path / "model.onnx")
    for length in (1, 7, 40):
        ids = np.random.default_rng(length).integers(5, 60, (1, length))
        expected = compare.of_pytorch(model)(ids, np.ones_like(ids))
        actual = onnx_file.states(graph, ids, np.ones_like(ids))
        np.testing.assert_allclose(expected, actual, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("tokenizer_class", "sentence"),
    [
        (
            "PreTrainedTokenizerFast",
            "rope_parameters in its config.json, which Qwen3Config of transformers 4.57",
        ),
        ("TokenizersBackend", "was saved by transformers 5, and transformers 4.57"),
    ],
)
def test_a_checkpoint_that_transformers_4_reads_otherwise_is_refused(
    tmp_path: Path, tokenizer_class: str, sentence: str
) -> None:
    folder = small_models.save(tmp_path / "saved", "qwen3")
    edit(folder / "tokenizer_config.json", tokenizer_class=tokenizer_class)

    assert sentence in run(folder, tmp_path / "model.onnx")["refused"]
    assert not (tmp_path / "model.onnx").exists()


def test_without_optimum_onnx_it_is_refused(tmp_path: Path) -> None:
    """By its name, before anything of it is imported."""
    assert not optimum.is_installed()
    module = SentenceTransformer(str(small_models.save(tmp_path / "saved")), device="cpu")[0]

    with pytest.raises(ExportError, match=r"optimum-onnx is not installed.*'embed-onnx\[optimum\]'"):
        states.write(module, tmp_path / "model.onnx", max_tokens=48, exporter="optimum")


def test_a_config_of_a_later_transformers_is_refused() -> None:
    """Where it has fields that change vectors."""
    config = small_models.build("qwen3").config
    config.transformers_version = "99.0.0"

    assert "has rope_parameters" in str(optimum._newer(config))
    assert optimum._newer(small_models.build("bert").config) is None
