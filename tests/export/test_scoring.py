"""Models that score texts: recognised, read, exported, and compared with CrossEncoder.predict."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_models
import torch
from harness import WITHOUT_PYTORCH
from harness import run as run_command
from sentence_transformers import CrossEncoder
from stacks import edit

from embed_onnx import Model
from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import HEAD, Manifest, Overrides
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.errors import InvalidRequest
from embed_onnx.models import tasks
from embed_onnx_export import run, score_parity
from embed_onnx_export.checkpoint import cross_encoder, sources
from embed_onnx_export.errors import ExportError

FAMILIES: dict[str, dict[str, Any]] = {
    **{name: {} for name in small_models.ARCHITECTURES},
    "electra": {"embedding_size": small_models.WIDTH, "max_position_embeddings": small_models.MAX_TOKENS},
}


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


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scoring")
    small_models.save_scoring(folder / "bert")
    small_models.save_scoring(
        folder / "plain", plain=True, labels=3, id2label={0: "no", 1: "maybe", 2: "yes"}
    )
    return folder


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("architecture", FAMILIES)
def test_a_family_scores_as_its_original_does(tmp_path: Path, architecture: str, precision: str) -> None:
    folder = small_models.save_scoring(tmp_path / architecture, architecture, **FAMILIES[architecture])

    manifest = export(folder, precision=precision)

    parity = manifest.score_parity
    assert parity is not None
    assert parity.items == len(score_parity.pairs()) >= 64
    assert parity.logit_difference < (1e-3 if precision == "float32" else 0.1)
    assert parity.spearman >= score_parity.FLOORS[precision].spearman
    assert (("LABEL_0",), "sigmoid") == (manifest.scores.labels, manifest.scores.activation)
    assert ("native", small_models.MAX_TOKENS) == (manifest.exporter, manifest.max_tokens)
    assert manifest.head
    assert HEAD in manifest.sha256


def test_a_plain_classifier_keeps_its_labels(saved: Path) -> None:
    manifest = export(saved / "plain")

    assert (("no", "maybe", "yes"), "none") == (manifest.scores.labels, manifest.scores.activation)


def test_a_classifier_whose_line_says_embed_makes_vectors(saved: Path) -> None:
    manifest = export(saved / "plain", overrides=Overrides(task="embed"))

    assert (small_models.WIDTH, ("mean",)) == (manifest.dense.dimensions, manifest.dense.pooling)


@pytest.mark.parametrize(
    ("file", "changes", "expected"),
    [
        ("config_sentence_transformers.json", {"activation_fn": "torch.nn.modules.linear.Identity"}, "none"),
        ("config_sentence_transformers.json", {"activation_fn": None}, "sigmoid"),
        ("config_sentence_transformers.json", {"activation_fn": "mine.Sigmoid"}, "sigmoid"),
    ],
)
def test_the_activation_is_that_of_its_files(
    tmp_path: Path, file: str, changes: dict[str, Any], expected: str
) -> None:
    folder = small_models.save_scoring(tmp_path / "bert")
    edit(folder / file, **changes)

    checkpoint = sources.find(entry(folder))

    assert expected == cross_encoder.read(checkpoint).scores.activation


@pytest.mark.parametrize(
    "changes",
    [
        {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}},
        {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
    ],
    ids=["version-5", "version-3"],
)
def test_the_activation_of_older_forms(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = small_models.save_scoring(tmp_path / "bert", plain=True)
    edit(folder / "config.json", **changes)

    read = cross_encoder.read(sources.find(entry(folder)))

    assert "none" == read.scores.activation
    assert isinstance(CrossEncoder(str(folder), device="cpu").activation_fn, torch.nn.Identity)


def test_an_embedder_is_not_one(tmp_path: Path) -> None:
    folder = small_models.save(tmp_path / "dense")

    assert not cross_encoder.is_one(sources.find(entry(folder)))


def test_what_is_not_served_is_refused_by_name(saved: Path, tmp_path: Path) -> None:
    bert = saved / "bert"
    assert "task=embed: bert is a CrossEncoder, which makes no vectors" in refusal(
        bert, overrides=Overrides(task="embed")
    )
    assert "task=rerank is for models of one label, and plain has 3" in refusal(
        saved / "plain", overrides=Overrides(task="rerank")
    )
    assert "bert scores texts, and of prompts, max_tokens=" in refusal(
        bert, overrides=Overrides(max_tokens=9)
    )
    assert "take exporter=optimum away" in refusal(bert, exporter="optimum")
    dense = small_models.save(tmp_path / "dense")
    assert "so it does not score texts" in refusal(dense, overrides=Overrides(task="rerank"))


def test_a_classifier_whose_labels_do_not_fit_is_refused(tmp_path: Path) -> None:
    folder = small_models.save_scoring(tmp_path / "bert", plain=True)
    config = json.loads((folder / "config.json").read_text())
    edit(folder / "config.json", id2label={**config["id2label"], "1": "spare"})

    assert "has a classifier of 1 labels and names 2; correct id2label" in refusal(folder)


def test_other_scores_fail_the_export() -> None:
    logits = np.random.default_rng(1).normal(size=(72, 1)).astype(np.float32)

    parity = score_parity.compared(logits, logits[::-1].copy())

    assert abs(parity.spearman) < 0.5
    assert parity.score_difference > 0.1


def test_a_classifier_is_compared_on_single_texts_as_well(saved: Path) -> None:
    assert export(saved / "plain", precision="float32").score_parity.items > len(score_parity.pairs())


@pytest.mark.parametrize("labels", [1, 3])
def test_a_tokenizer_without_pairs_is_for_single_texts(tmp_path: Path, labels: int) -> None:
    """Its pairs have the second text first, which nobody would expect to be served as it is."""
    folder = small_models.save_scoring(tmp_path / "single", plain=True, labels=labels)
    file = folder / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    tokenizer["post_processor"]["pair"].reverse()
    file.write_text(json.dumps(tokenizer))

    manifest = export(folder, precision="float32")

    assert not manifest.scores.pairs
    assert ["classify"] == tasks.of(manifest.output)
    with Model.load(tmp_path / "artifacts" / "single") as model:
        assert labels == len(model.classify("a few words"))
        with pytest.raises(InvalidRequest, match="single takes single texts alone; send texts"):
            model.classify([("a", "b")])
    assert "task=rerank is for models of one label" in refusal(folder, overrides=Overrides(task="rerank"))


@pytest.mark.parametrize("name", ["BertTokenizer", "DistilBertTokenizer", "PreTrainedTokenizerFast"])
def test_second_texts_have_types_where_transformers_gives_them(tmp_path: Path, name: str) -> None:
    """Whatever class the tokenizer is saved as, and where no file names the inputs of the model."""
    folder = small_models.save_scoring(tmp_path / "bert", plain=True)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("model_input_names", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"tokenizer_class": name}))
    original = CrossEncoder(str(folder), device="cpu").preprocess([("a", "b")])

    read = cross_encoder.read(sources.find(entry(folder)))

    assert (read.encoder.second_positions is not None) == ("token_type_ids" in original)


def test_several_labels_at_once_have_a_sigmoid(tmp_path: Path) -> None:
    folder = small_models.save_scoring(tmp_path / "bert", plain=True, labels=3)
    edit(folder / "config.json", problem_type="multi_label_classification")

    assert "sigmoid" == cross_encoder.read(sources.find(entry(folder))).scores.activation


def test_without_pytorch_the_logits_are_the_same(saved: Path, tmp_path: Path) -> None:
    """The files alone are enough, and are compared with the float32 graph."""
    done = run_command(
        "export", f"{saved / 'bert'} name=bert precision=float32", cwd=tmp_path, environment=WITHOUT_PYTORCH
    )

    assert 0 == done.returncode, done.stderr
    export(saved / "bert", precision="float32")
    scores = []
    for artifacts in (tmp_path / "artifacts", saved / "artifacts"):
        with Model.load(artifacts / "bert") as model:
            scores.append([item.score for item in model.rank("a few", ["words", "12"], raw_scores=True)])
    assert scores[0] == scores[1]
    assert "float32 graph" == manifest.read(tmp_path / "artifacts" / "bert").reference
