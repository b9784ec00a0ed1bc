"""Special tokens that are written in a text: those tokens by default, ordinary text where that is asked for.

What every kind of tokenizer makes of them is in test_tokenizer_kinds.py.
"""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import small_models
from harness import MINILM, WEB, Server, run
from harness import embed as ask

from embed_onnx import Model
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.engine import native
from embed_onnx.models.model import Options
from embed_onnx_export.run import export_all

WRITTEN = "first [SEP] second[PAD] [CLS]"
CLS, SEP, PAD = 101, 102, 0
FAMILIES = ("distilbert", "mpnet", "roberta")
"""The last two number positions from the padding id on."""


@pytest.fixture(scope="module")
def literal(artifacts: Path) -> Iterator[Model]:
    with Model.load(artifacts / MINILM, literal_special_tokens=True) as model:
        yield model


@pytest.fixture(scope="module")
def padding_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of small models, and their artifacts."""
    folder = tmp_path_factory.mktemp("padding")
    entries = [
        Entry(name=name, repo=name, folder=small_models.save(folder / name, name)) for name in FAMILIES
    ]
    export_all(entries, folder / "artifacts", force=False)
    return folder


def ids(model: Model, text: str) -> list[int]:
    (tokens,) = model.tokenize([text], Options())
    return tokens.ids


def test_by_default_they_are_special_as_in_sentence_transformers(home: Path, minilm: Model) -> None:
    from sentence_transformers import SentenceTransformer

    original = SentenceTransformer(str(home / "checkpoint"), device="cpu")
    with Model.load(home / "artifacts" / "small") as small:
        assert original.preprocess([WRITTEN], prompt="text: ")["input_ids"].tolist() == [ids(small, WRITTEN)]
    assert {CLS, SEP, PAD} <= set(ids(minilm, WRITTEN)[1:-1])


def test_literal_ones_are_text(minilm: Model, literal: Model) -> None:
    """None is special but the first and the last; other texts have the bits that they always have."""
    found = ids(literal, WRITTEN)

    assert (CLS, SEP) == (found[0], found[-1])
    assert not {CLS, SEP, PAD} & set(found[1:-1])
    assert ids(minilm, "first [ sep ] second [ pad ] [ cls ]") == found
    assert minilm.encode(["Hello"]).tobytes() == literal.encode(["Hello"]).tobytes()
    assert minilm.encode([WRITTEN]).tobytes() != literal.encode([WRITTEN]).tobytes()


def test_they_are_text_in_prompts_too(minilm: Model, literal: Model) -> None:
    expected = minilm.encode(["a text"], prompt="[ sep ] ")

    assert np.array_equal(expected, literal.encode(["a text"], prompt="[SEP] "))


def test_batch_invariance_holds(literal: Model) -> None:
    """Alone and in a list among long ones: the same bits."""
    rng = random.Random(5)
    words = ["[SEP]", "river", "[PAD]", "[", "stone", "[MASK]", "SEP]", "</s>"]
    texts = [" ".join(rng.choices(words, k=rng.choice([1, 5, 40, 900]))) for _ in range(60)]

    together = literal.encode(texts)

    assert [literal.encode([text]).tobytes() for text in texts] == [row.tobytes() for row in together]


def test_ids_are_taken_as_ever(minilm: Model, literal: Model) -> None:
    """They name special tokens by number, whatever their text is."""
    shown = ids(minilm, WRITTEN)

    assert np.array_equal(minilm.encode([shown]), literal.encode([shown]))
    assert np.array_equal(literal.encode([WRITTEN]), literal.encode([ids(literal, WRITTEN)]))


@pytest.mark.parametrize("variable", [True, False])
def test_a_server_with_the_setting(serve: Callable[..., Server], literal: Model, variable: bool) -> None:
    """By flag or variable: vectors and /tokenize, whose special tokens keep their names."""
    name = "EMBED_ONNX_LITERAL_SPECIAL_TOKENS"
    server = serve(**{name: "true"}) if variable else serve("--literal-special-tokens")

    (item,) = ask(server.url, WRITTEN).json()["data"]
    (shown,) = WEB.post(f"{server.url}/tokenize", json={"input": WRITTEN}).json()["data"]

    assert np.array_equal(literal.encode(WRITTEN), np.array(item["embedding"], np.float32))
    assert ids(literal, WRITTEN) == shown["ids"]
    assert ["[CLS]", "first", "[", "sep", "]"] == shown["tokens"][:5]
    assert "[SEP]" == shown["tokens"][-1]


def test_embed_takes_the_setting(home: Path, literal: Model) -> None:
    done = run("embed", "--literal-special-tokens", "--text", WRITTEN, cwd=home)

    assert done.returncode == 0, done.stderr
    assert np.array_equal(literal.encode(WRITTEN), np.array(json.loads(done.stdout)["embedding"], np.float32))


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
