"""manifest.json of each format: the older ones are read and verified, and a newer one is called newer."""

import json
from typing import Any

import msgspec
import pytest
from manifests import SAMPLE, sentence, write

from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import Manifest, Module, Source
from embed_onnx.artifact.outputs import Dense, Scores
from embed_onnx.artifact.parity import Fidelity, Parity, ScoreParity
from embed_onnx.errors import ArtifactError

FORMAT_3 = """\
{
  "format": 3,
  "name": "e5-small",
  "created": 1750000000,
  "source": {
    "repo": "intfloat/e5-small",
    "requested": null,
    "revision": "abc",
    "license": "mit",
    "files": {
      "config.json": "12"
    }
  },
  "recipe": 6,
  "dimensions": 384,
  "matryoshka": [
    128,
    256
  ],
  "max_tokens": 512,
  "truncation_side": "right",
  "modules": [
    {
      "text": "Transformer",
      "runs_in": "model.onnx",
      "note": ""
    },
    {
      "text": "Pooling",
      "runs_in": "numpy",
      "note": ""
    },
    {
      "text": "Normalize",
      "runs_in": "numpy",
      "note": ""
    }
  ],
  "static": false,
  "pooling": [
    "mean",
    "cls"
  ],
  "include_prompt": false,
  "normalize": true,
  "prompts": {
    "query": "query: "
  },
  "default_prompt": "query",
  "precision": "float32",
  "quantization": null,
  "packed": false,
  "parity": {
    "texts": 73,
    "cosine_mean": 0.9999,
    "cosine_min": 0.9998,
    "short": {
      "texts": 20,
      "cosine_mean": 0.9999,
      "cosine_min": 0.9997
    }
  },
  "kernel_parity": null,
  "float32_bytes": 90000000,
  "sha256": {
    "model.onnx": "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c",
    "tokenizer.json": "dba36bffa5cab0f922d087a3aeb179f9d4e745df40b323e1b1471402848c8a3e",
    "manifest.json": "ef5447a070cdc87d29980fe2f3fceb3efc30e15beb05321e0159d2ed5013a533"
  }
}
"""
"""As version 0.1.0 wrote it, beside a model.onnx of "weights" and a tokenizer.json of "words"."""


def flat(**changes: Any) -> dict[str, Any]:
    """The sample's fields as they were up to format 3, when what comes out stood among the others."""
    fields = msgspec.to_builtins(SAMPLE)
    dense = fields.pop("output")
    del dense["kind"]
    return fields | dense | changes


def test_a_manifest_of_the_first_format_is_read(tmp_path):
    """From before there were heads, prompts that are not pooled, and models without a limit."""
    old = flat(format=1)
    for name in ("modules", "static", "include_prompt", "matryoshka"):
        del old[name]
    (tmp_path / manifest.MANIFEST).write_text(json.dumps(old))

    assert SAMPLE == manifest.read(tmp_path)


def test_a_manifest_without_figures_of_short_texts_is_read(tmp_path):
    """As they were up to format 2; what is of format 3 is not read by those who would not know of them."""
    old = flat(format=2)
    for name in ("parity", "kernel_parity"):
        old[name] = {"texts": 73, "cosine_mean": 0.998, "cosine_min": 0.99}
    (tmp_path / manifest.MANIFEST).write_text(json.dumps(old))

    actual = manifest.read(tmp_path)

    assert (73, 0.998, 0.99, None) == msgspec.structs.astuple(actual.parity)
    assert actual.parity == actual.kernel_parity


def test_a_manifest_of_the_third_format_is_read_and_verified(tmp_path):
    """Every fact of it, in today's shape; its seal is that of the text as it was written."""
    (tmp_path / manifest.MANIFEST).write_text(FORMAT_3)
    (tmp_path / "model.onnx").write_text("weights")
    (tmp_path / "tokenizer.json").write_text("words")

    actual = manifest.read(tmp_path)

    manifest.verify(actual, tmp_path)
    expected = Manifest(
        name="e5-small",
        created=1_750_000_000,
        source=Source(repo="intfloat/e5-small", revision="abc", license="mit", files={"config.json": "12"}),
        recipe=6,
        output=Dense(
            dimensions=384,
            matryoshka=(128, 256),
            pooling=("mean", "cls"),
            include_prompt=False,
            normalize=True,
        ),
        max_tokens=512,
        modules=(
            Module("Transformer", "model.onnx"),
            Module("Pooling", "numpy"),
            Module("Normalize", "numpy"),
        ),
        prompts={"query": "query: "},
        default_prompt="query",
        precision="float32",
        parity=Parity(
            texts=73,
            cosine_mean=0.9999,
            cosine_min=0.9998,
            short=Fidelity(texts=20, cosine_mean=0.9999, cosine_min=0.9997),
        ),
        float32_bytes=90_000_000,
        sha256=actual.sha256,
    )
    assert expected == actual


def test_a_manifest_of_the_fifth_format_is_read(tmp_path):
    """From before there were models that score."""
    old = msgspec.to_builtins(SAMPLE) | {"format": 5}
    for name in ("score_parity", "kernel_score_parity"):
        del old[name]
    (tmp_path / manifest.MANIFEST).write_text(json.dumps(old))

    assert SAMPLE == manifest.read(tmp_path)


def test_a_manifest_of_the_seventh_format_is_read(tmp_path):
    """From before there were sparse models and token vectors."""
    old = msgspec.to_builtins(SAMPLE) | {"format": 7}
    for name in ("sparse_parity", "kernel_sparse_parity", "token_parity", "kernel_token_parity"):
        del old[name]
    (tmp_path / manifest.MANIFEST).write_text(json.dumps(old))

    assert SAMPLE == manifest.read(tmp_path)


def test_scores_are_written_and_read(tmp_path):
    parity = ScoreParity(
        items=80, logit_difference=0.02, score_difference=0.004, spearman=0.9995, pearson=0.9999
    )
    scoring = msgspec.structs.replace(
        SAMPLE,
        output=Scores(labels=("no", "yes"), activation="none", pooling=("cls",)),
        parity=None,
        kernel_parity=None,
        score_parity=parity,
        kernel_score_parity=parity,
    )
    manifest.write(scoring, tmp_path)

    actual = manifest.read(tmp_path)

    assert (scoring.output, parity, parity) == (
        actual.output,
        actual.score_parity,
        actual.kernel_score_parity,
    )


def test_an_older_manifest_that_was_changed_is_named(tmp_path):
    (tmp_path / manifest.MANIFEST).write_text(FORMAT_3.replace('"dimensions": 384', '"dimensions": 383'))
    (tmp_path / "model.onnx").write_text("weights")
    (tmp_path / "tokenizer.json").write_text("words")

    with pytest.raises(ArtifactError, match=r"manifest\.json is damaged: its sha256 is "):
        manifest.verify(manifest.read(tmp_path), tmp_path)


def test_what_is_of_one_format_is_not_read_as_another(tmp_path):
    """An older runtime would misread what is written now, so the number was raised with the shape."""
    (tmp_path / manifest.MANIFEST).write_text(json.dumps(flat()))

    assert 8 == manifest.FORMAT
    assert "unknown field `dimensions`" in sentence(tmp_path)


def test_a_newer_format_is_called_newer_whatever_else_it_holds(tmp_path):
    write(tmp_path, format=manifest.FORMAT + 1, shards=3, pooling="attention")

    expected = (
        f"{tmp_path / 'manifest.json'} has format {manifest.FORMAT + 1} and this version reads up to "
        f"{manifest.FORMAT}; upgrade embed-onnx, or export the model again with this version"
    )
    assert expected == sentence(tmp_path)
