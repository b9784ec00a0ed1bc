"""Models that score outside BERT's family, and those of several modules, beside CrossEncoder.predict."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_models
import torch
from harness import WITHOUT_PYTORCH
from harness import run as run_command
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder
from stacks import edit

from embed_onnx import Model
from embed_onnx.artifact.manifest import HEAD, Manifest
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.models.request_pairs import ScoreOptions
from embed_onnx_export import run, score_parity
from embed_onnx_export.checkpoint import cross_encoder, sources
from embed_onnx_export.errors import ExportError

PAIRS = [("how tall is the tower", text) for text in ("300 m", "a few words " * 30, "12 and 345", "a")]


def entry(folder: Path, **options: Any) -> Entry:
    return Entry(name=folder.name, repo=folder.name, folder=folder, **options)


def export(folder: Path, **options: Any) -> Manifest:
    """The manifest of a folder's artifact, beside it."""
    (exported,) = run.export_all([entry(folder, **options)], folder.parent / "artifacts", force=True)
    return exported.manifest


def refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(ExportError) as refused:
        export(folder, **options)
    return str(refused.value)


def logits(folder: Path, pairs: list[tuple[str, str]]) -> np.ndarray:
    """Of a folder's artifact."""
    with Model.load(folder.parent / "artifacts" / folder.name) as model:
        return model.score_now(pairs, ScoreOptions()).logits


def expected(folder: Path) -> np.ndarray:
    """Of the original, [pairs, labels]."""
    model = CrossEncoder(str(folder), device="cpu")
    return model.predict(PAIRS, activation_fn=torch.nn.Identity(), batch_size=1).reshape(len(PAIRS), -1)


# Classifiers that PyTorch traces with their transformer
@pytest.mark.parametrize(
    ("architecture", "precision", "changes"),
    [
        ("deberta-v2", "float32", {}),
        ("deberta-v2", "int8", {}),
        ("deberta-v2", "float32", {"max_position_embeddings": 2048}),
        ("albert", "float32", {}),
        ("convbert", "float32", {}),
        ("nomic_bert", "int8", {}),
        ("qwen3", "float32", {}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value,
)
def test_another_architecture_scores_as_its_original_does(
    tmp_path: Path, architecture: str, precision: str, changes: dict[str, Any]
) -> None:
    folder = small_models.save_scoring(tmp_path / architecture, architecture, **changes)

    manifest = export(folder, precision=precision)

    parity = manifest.score_parity
    assert ("torch", False, False) == (manifest.exporter, manifest.packed, manifest.head)
    assert parity.spearman >= score_parity.FLOORS[precision].spearman
    assert np.abs(logits(folder, PAIRS) - expected(folder)).max() < (1e-3 if precision == "float32" else 0.3)
    if precision == "int8":
        assert f"{architecture} is not of the BERT family" == manifest.quantization.no_kernel
        assert manifest.quantization.kernel_products


def test_no_other_pair_changes_a_score(tmp_path: Path) -> None:
    folder = small_models.save_scoring(tmp_path / "deberta", "deberta-v2", labels=2)
    export(folder)

    together = logits(folder, PAIRS)

    assert all(
        np.array_equal(logits(folder, [pair])[0], row) for pair, row in zip(PAIRS, together, strict=True)
    )


def test_the_torch_exporter_writes_berts_family_as_well(tmp_path: Path) -> None:
    folder = small_models.save_scoring(tmp_path / "bert")

    manifest = export(folder, exporter="torch", precision="float32")

    assert "torch" == manifest.exporter
    assert np.abs(logits(folder, PAIRS) - expected(folder)).max() < 1e-3


# ModernBERT, whose graph is written of its weights
@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize(
    "changes",
    [
        {"classifier_pooling": "cls"},
        {"classifier_pooling": "mean", "norm_bias": True, "classifier_bias": True},
        {"classifier_activation": "relu", "labels": 3},
    ],
    ids=["cls", "mean", "labels"],
)
def test_modernbert_has_native_kernels(tmp_path: Path, changes: dict[str, Any], precision: str) -> None:
    folder = small_models.save_scoring(tmp_path / "modern", "modernbert", **changes)

    manifest = export(folder, precision=precision)

    assert ("native", True) == (manifest.exporter, HEAD in manifest.sha256)
    assert (changes.get("classifier_pooling", "cls"),) == manifest.scores.pooling
    assert np.abs(logits(folder, PAIRS) - expected(folder)).max() < (1e-3 if precision == "float32" else 0.3)


@pytest.mark.parametrize("changes", [{"norm_eps": 1e-3}, {"classifier_activation": "gelu_new"}], ids=str)
def test_other_classifiers_of_modernbert_are_traced(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = small_models.save_scoring(tmp_path / "modern", "modernbert", **changes)

    manifest = export(folder, precision="float32")

    assert "torch" == manifest.exporter
    assert np.abs(logits(folder, PAIRS) - expected(folder)).max() < 1e-3


# Transformer, Pooling and Dense
@pytest.mark.parametrize(
    ("architecture", "exporter", "options"),
    [
        ("bert", "native", {}),
        ("roberta", "native", {"labels": 3, "pooling": "cls"}),
        ("modernbert", "native", {}),
        ("deberta-v2", "torch", {"pooling": "max"}),
    ],
    ids=["bert", "roberta", "modernbert", "deberta"],
)
def test_a_stack_scores_as_its_original_does(
    tmp_path: Path, architecture: str, exporter: str, options: dict[str, Any]
) -> None:
    folder = small_models.save_scoring_stack(tmp_path / "stack", architecture, **options)

    manifest = export(folder, precision="float32")

    labels = tuple(f"LABEL_{place}" for place in range(options.get("labels", 1)))
    assert (exporter, labels) == (manifest.exporter, manifest.scores.labels)
    assert (options.get("pooling", "mean"),) == manifest.scores.pooling
    assert ["Dense (32 -> 24, Tanh)", f"Dense (24 -> {len(labels)}, Identity)"] == [
        module.text for module in manifest.modules[-2:]
    ]
    assert np.abs(logits(folder, PAIRS) - expected(folder)).max() < 1e-3


def test_a_stack_is_read_without_pytorch(tmp_path: Path) -> None:
    """And token types of second texts with it; the model in int8 passes its floor."""
    folder = small_models.save_scoring_stack(tmp_path / "stack")

    done = run_command("export", f"{folder} name=stack", cwd=tmp_path, environment=WITHOUT_PYTORCH)

    assert 0 == done.returncode, done.stderr
    assert cross_encoder.read(sources.find(entry(folder))).encoder.second_positions is not None
    assert np.abs(logits(folder, PAIRS) - expected(folder)).max() < 0.3


# What is refused
def test_another_architecture_needs_pytorch(tmp_path: Path) -> None:
    folder = small_models.save_scoring(tmp_path / "deberta", "deberta-v2")

    done = run_command("export", f"{folder} name=deberta", cwd=tmp_path, environment=WITHOUT_PYTORCH)

    assert 1 == done.returncode
    assert (
        "deberta cannot be exported without PyTorch: deberta-v2 is not of the BERT family; export it with"
        in (" ".join(done.stderr.split()))
    )
    assert "by the exporter native: deberta-v2 is not of" in refusal(folder, exporter="native")


def test_the_logit_of_a_word_is_refused_by_name(tmp_path: Path) -> None:
    folder = small_models.save_scoring_stack(tmp_path / "stack")
    listed = json.loads((folder / "modules.json").read_text())
    listed[1]["type"] = "sentence_transformers.cross_encoder.modules.logit_score.LogitScore"
    (folder / "modules.json").write_text(json.dumps(listed))

    assert (
        "LogitScore, which is not served; it scores by the logit of a word; export a reranker with"
        in refusal(folder)
    )


def test_a_stack_that_gives_no_scores_is_refused(tmp_path: Path) -> None:
    folder = small_models.save_scoring_stack(tmp_path / "stack")
    listed = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(listed[:2]))
    assert "is a CrossEncoder of Transformer, Pooling; served is a Transformer with a classifier" in refusal(
        folder
    )

    (folder / "modules.json").write_text(json.dumps(listed[:3]))
    assert "reads or writes sentence_embedding, and only scores is served" in refusal(folder)


def test_a_classifier_without_weights_is_refused(tmp_path: Path) -> None:
    """PyTorch would have made it of random numbers."""
    folder = small_models.save_scoring(tmp_path / "deberta", "deberta-v2")
    weights = load_file(folder / "model.safetensors")
    del weights["classifier.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})

    assert "lack 1 parameters, classifier.weight among them, which would be random" in refusal(folder)


def test_a_prompt_is_refused(tmp_path: Path) -> None:
    folder = small_models.save_scoring(tmp_path / "deberta", "deberta-v2")
    edit(folder / "config_sentence_transformers.json", prompts={"a": "b"}, default_prompt_name="a")

    assert "puts a prompt before the texts that it scores" in refusal(folder)
