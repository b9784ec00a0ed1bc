"""Pairs of texts are what sentence-transformers makes of them, whatever is cut."""

import itertools
from pathlib import Path

import pytest
import small_models
from sentence_transformers import CrossEncoder

from embed_onnx.models.pairs import PairTokenizer
from embed_onnx.models.tokenizer import Tokenizer

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


@pytest.mark.parametrize("max_tokens", [23, 24])
@pytest.mark.parametrize("side", ["right", "left"])
def test_every_cut_is_that_of_sentence_transformers(folder: Path, max_tokens: int, side: str) -> None:
    original = CrossEncoder(str(folder), device="cpu", max_length=max_tokens)
    original.tokenizer.truncation_side = side
    tokenizer = PairTokenizer(
        Tokenizer(folder / "tokenizer.json", max_tokens=max_tokens, truncation_side=side)
    )

    for first in TEXTS:
        actual = tokenizer.pairs(first, TEXTS)
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
    tokenizer = PairTokenizer(Tokenizer(folder / "tokenizer.json", max_tokens=24))

    short, long = tokenizer.pairs("a", ["few words", TEXTS[-1]])

    assert (False, True) == (short.truncated, long.truncated)
    assert 24 == long.num_tokens


def test_pairs_do_not_depend_on_the_others(folder: Path) -> None:
    tokenizer = PairTokenizer(Tokenizer(folder / "tokenizer.json", max_tokens=24))

    for first, second in itertools.product(TEXTS[::4], TEXTS):
        assert tokenizer.pairs(first, [second])[0] in tokenizer.pairs(first, TEXTS)
