"""Special tokens that are written in a text: those tokens by default, ordinary text where that is asked for.

What every kind of tokenizer makes of them is in test_tokenizer_kinds.py.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from harness import MINILM

from embed_onnx import Model
from embed_onnx.models.options import Options

WRITTEN = "first [SEP] second[PAD] [CLS]"
CLS, SEP, PAD = 101, 102, 0


@pytest.fixture(scope="module")
def literal(artifacts: Path) -> Iterator[Model]:
    with Model.load(artifacts / MINILM, literal_special_tokens=True) as model:
        yield model


def ids(model: Model, text: str) -> list[int]:
    (tokens,) = model.tokenize([text], Options())
    return tokens.ids


def test_literal_ones_are_text(minilm: Model, literal: Model) -> None:
    """None is special but the first and the last; other texts have the bits that they always have."""
    actual = ids(literal, WRITTEN)

    assert (CLS, SEP) == (actual[0], actual[-1])
    assert not {CLS, SEP, PAD} & set(actual[1:-1])
    assert ids(minilm, "first [ sep ] second [ pad ] [ cls ]") == actual
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
    item = ids(minilm, WRITTEN)

    assert np.array_equal(minilm.encode([item]), literal.encode([item]))
    assert np.array_equal(literal.encode([WRITTEN]), literal.encode([ids(literal, WRITTEN)]))
