"""Special tokens that are written in a text, as Sentence-Transformers reads them."""

from pathlib import Path

import kept
import numpy as np
import pytest
import small_models

from embed_onnx import Model
from embed_onnx.engine import native
from embed_onnx.models.options import Options

WRITTEN = "first [SEP] second[PAD] [CLS]"
CLS, SEP, PAD = 101, 102, 0
FAMILIES = ("distilbert", "mpnet", "roberta")
"""The last two number positions from the padding id on."""


@pytest.fixture(scope="module")
def padding_models() -> Path:
    """Checkpoints of small models, and their artifacts."""
    return kept.folder(families)


def families(folder: Path) -> None:
    for name in FAMILIES:
        small_models.save(folder / name, name)
    kept.export(folder, "".join(f"./{name}\n" for name in FAMILIES))


def ids(model: Model, text: str) -> list[int]:
    (tokens,) = model.tokenize([text], Options())
    return tokens.ids


def test_by_default_they_are_special_as_in_sentence_transformers(home: Path, minilm: Model) -> None:
    from sentence_transformers import SentenceTransformer

    original = SentenceTransformer(str(home / "checkpoint"), device="cpu")
    with Model.load(home / "artifacts" / "small") as small:
        assert original.preprocess([WRITTEN], prompt="text: ")["input_ids"].tolist() == [ids(small, WRITTEN)]
    assert {CLS, SEP, PAD} <= set(ids(minilm, WRITTEN)[1:-1])


PADDED = (
    "[PAD]",
    "some words [PAD] [PAD] and more",
    "[PAD]words",
    "words[PAD]",
    " [PAD] a" * 40,
    "no padding",
)


@pytest.mark.parametrize("kernels", ["auto", "off"])
@pytest.mark.parametrize("architecture", FAMILIES)
def test_padding_in_a_text_is_what_it_is_to_sentence_transformers(
    padding_models: Path, monkeypatch: pytest.MonkeyPatch, architecture: str, kernels: str
) -> None:
    """Some models count the positions of other tokens past it; alone and beside other texts."""
    from sentence_transformers import SentenceTransformer

    original = SentenceTransformer(str(padding_models / architecture), device="cpu")
    expected = original.encode(list(PADDED), batch_size=1, show_progress_bar=False)
    monkeypatch.setenv(native.VARIABLE, kernels)
    with Model.load(padding_models / "artifacts" / architecture) as model:
        together = model.encode(list(PADDED))
        alone = np.concatenate([model.encode([text]) for text in PADDED])

    assert np.array_equal(together, alone)
    assert np.einsum("td,td->t", expected, together).min() > 0.999
