"""Checkpoints in the forms of newer embedders, as sentence-transformers 6 saves them.

The truth is the model before it was saved: a field that saving or loading loses would be lost on both sides
of a comparison with the loaded one.
"""

import json
from pathlib import Path

import forms
import kept
import numpy as np
import pytest
from forms import FORMS
from sentence_transformers import SentenceTransformer

from embed_onnx import Model
from embed_onnx.artifact import manifest
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.models.tokenizer import Tokenizer
from embed_onnx_export.run import export_all

pytestmark = pytest.mark.usefixtures("one_thread")
every_form = pytest.mark.parametrize("name", FORMS)


def saved(folder: Path) -> None:
    """Save each form and its artifact, and the vectors and ids of the model before it was saved."""
    for name in FORMS:
        model = forms.save(name, folder / name)
        export_all([entry(folder / name)], folder / "artifacts", force=False)
        vectors = {str(prompt): forms.encode(model, prompt) for prompt in (None, *model.prompts)}
        ids = [model.preprocess([text])["input_ids"][0].tolist() for text in forms.texts()]
        np.savez(folder / f"{name}.npz", **vectors)
        (folder / f"{name}.json").write_text(json.dumps(ids))


@pytest.fixture(scope="module")
def folder() -> Path:
    return kept.folder(saved)


def entry(folder: Path) -> Entry:
    return Entry(name=folder.name, repo=folder.name, folder=folder, precision="float32")


@every_form
def test_float32_is_the_model_that_was_saved(folder: Path, name: str) -> None:
    """With each prompt: vectors of the model before it was saved, and of the one that is loaded."""
    loaded = SentenceTransformer(str(folder / name), device="cpu")
    before = np.load(folder / f"{name}.npz")
    with Model.load(folder / "artifacts" / name, threads=1) as artifact:
        assert [str(prompt) for prompt in (None, *loaded.prompts)] == list(before)
        for prompt in (None, *loaded.prompts):
            actual = artifact.encode(forms.texts(), prompt_name=prompt)
            assert 0.99999 < forms.cosines(before[str(prompt)], actual).min()
            assert 0.99999 < forms.cosines(forms.encode(loaded, prompt), actual).min()


@every_form
def test_ids_are_those_of_the_model_that_was_saved(folder: Path, name: str) -> None:
    record = manifest.read(folder / "artifacts" / name)

    tokenizer = Tokenizer(folder / "artifacts" / name / "tokenizer.json", max_tokens=record.max_tokens)
    actual = [item.ids for item in tokenizer.encode(forms.texts())]

    assert json.loads((folder / f"{name}.json").read_text()) == actual
