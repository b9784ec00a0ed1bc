"""The same ids as the original tokenizer, at any length, with every cut told."""

import random
from pathlib import Path

import pytest
import tokenizers
from harness import MINILM
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models

from embed_onnx.errors import ArtifactError
from embed_onnx.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def tokenizer(artifacts: Path) -> Tokenizer:
    return Tokenizer(artifacts / MINILM / "tokenizer.json", max_tokens=16)


@pytest.fixture(scope="module")
def original(artifacts: Path):
    """The same file through transformers, which cuts after tokenizing the whole text."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_file=str(artifacts / MINILM / "tokenizer.json"))


PIECES = [
    "word ",
    "unbelievable",
    " ",
    "\n",
    "日本語",
    "é",
    "...",
    "!?",
    "x" * 130,
    "💥",
    "Straße, ",
    "\u0301",
]


@given(st.lists(st.sampled_from(PIECES), max_size=400).map("".join))
@settings(max_examples=150, deadline=None)
def test_a_prefix_decides_as_the_whole_text_would(tokenizer: Tokenizer, original, text: str) -> None:
    """A long text, of which only the start is tokenized, has the ids it would have in full."""
    (tokens,) = tokenizer.encode([text])
    whole = original(text)["input_ids"]

    assert original(text, truncation=True, max_length=16)["input_ids"] == tokens.ids
    assert (len(whole) > 16) == tokens.truncated
    assert tokens.full_length == len(whole) if tokens.exact else tokens.full_length <= len(whole)


def test_short_and_long_texts_keep_their_order(tokenizer: Tokenizer) -> None:
    """Long texts go another way than short ones, and come back in their places."""
    texts = ["one", "two " * 500, "three", "four " * 500, "five"]
    random.Random(1).shuffle(texts)

    together = tokenizer.encode(texts)

    assert [tokenizer.encode([text])[0] for text in texts] == together


def test_special_tokens_count(tokenizer: Tokenizer) -> None:
    (tokens,) = tokenizer.encode(["hello"])

    assert ([101, 7592, 102], 3, False) == (tokens.ids, tokens.num_tokens, tokens.truncated)
    assert ["[CLS]", "hello", "[SEP]"] == tokenizer.words(tokens.ids)


def test_ids_are_cut_too(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.cut_ids(list(range(20)))

    assert (16, 20, True) == (tokens.num_tokens, tokens.full_length, tokens.truncated)


def test_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text("{}")

    with pytest.raises(ArtifactError, match="export the model again"):
        Tokenizer(path, max_tokens=8)


def test_a_vocabulary_with_holes(tmp_path: Path) -> None:
    """Its ids end where the highest does, and not where its tokens are counted."""
    path = tmp_path / "tokenizer.json"
    tokenizers.Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "b": 7}, unk_token="[UNK]")).save(str(path))

    tokenizer = Tokenizer(path, max_tokens=8)

    assert 8 == tokenizer.num_ids
    assert ["b", "", "a"] == tokenizer.words([7, 3, 1])
