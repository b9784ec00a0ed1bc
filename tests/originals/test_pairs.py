"""Pairs of texts are what sentence-transformers makes of them, whatever is cut."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import small_models
from sentence_transformers import CrossEncoder

from embed_onnx.artifact.manifest import TruncationSide
from embed_onnx.models.pairs import PairTokenizer
from embed_onnx.models.tokenizer import Tokenizer, Tokens

TEXTS = [
    " ".join(["a", "few", "words", "and", "12"][place % 5] for place in range(words))
    for words in range(1, 26, 2)
]
TEXTS += ["stand beside letters, commas and dots. " * 60]
"""From a word to more than all that fits, with a limit of 24 tokens."""


@pytest.fixture(scope="module", params=["bert", "roberta"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With token types, and without."""
    path = tmp_path_factory.mktemp("pairs") / request.param
    return small_models.save_scoring(path, request.param, plain=True)


def read(folder: Path, max_tokens: int = 24, side: TruncationSide = "right") -> Tokenizer:
    return Tokenizer(folder / "tokenizer.json", max_tokens=max_tokens, truncation_side=side)


def pairs(tokenizer: Tokenizer, first: str, seconds: list[str], **options: Any) -> list[Tokens]:
    own, limit = PairTokenizer(tokenizer), tokenizer.limit()
    return own.pairs(own.first(first, limit), seconds, limit, **options)


@pytest.mark.parametrize("max_tokens", [23, 24])
@pytest.mark.parametrize("side", ["right", "left"])
def test_every_cut_is_that_of_sentence_transformers(
    folder: Path, max_tokens: int, side: TruncationSide
) -> None:
    original = CrossEncoder(str(folder), device="cpu", max_length=max_tokens)
    original.tokenizer.truncation_side = side
    tokenizer = read(folder, max_tokens, side)

    for first in TEXTS:
        actual = pairs(tokenizer, first, TEXTS)
        for second, tokens in zip(TEXTS, actual, strict=True):
            expected = original.preprocess([(first, second)])
            ids = expected["input_ids"].flatten().tolist()
            assert ids == tokens.ids, (first, second)
            if "token_type_ids" in expected:
                types = expected["token_type_ids"].flatten().tolist()
                assert types.index(1) == tokens.second
            else:
                assert tokens.second is None


def test_what_was_cut_is_known(folder: Path) -> None:
    tokenizer = read(folder)

    short, long = pairs(tokenizer, "a", ["few words", TEXTS[-1]])

    assert (False, True) == (short.truncated, long.truncated)
    assert 24 == long.num_tokens


def test_pairs_do_not_depend_on_the_others(folder: Path) -> None:
    tokenizer = read(folder)

    for first, second in itertools.product(TEXTS[::4], TEXTS):
        assert pairs(tokenizer, first, [second])[0] in pairs(tokenizer, first, TEXTS)


def test_of_second_texts_so_many_tokens_count(folder: Path) -> None:
    """They are cut by themselves, before the pair is; a first text keeps what they leave."""
    tokenizer = read(folder)
    words = [" ".join(["few"] * count) for count in (3, 4, 5, 40)]

    actual = pairs(tokenizer, "a and 12", words, most=4)

    whole, *cut = [pairs(tokenizer, "a and 12", [text])[0].ids for text in (words[0], *words[1:2] * 3)]
    assert [whole, *cut] == [item.ids for item in actual]
    assert [False, False, True, True] == [item.truncated for item in actual]
