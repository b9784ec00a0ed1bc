"""The same ids as the original tokenizer, at any length, with every cut reported."""

import random
from pathlib import Path

import pytest
import tokenizers
from harness import MINILM
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import models, processors

from embed_onnx.errors import ArtifactError
from embed_onnx.models.tokenizer import Tokenizer


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


def test_ids_are_cut_as_their_text_is(tokenizer: Tokenizer, original) -> None:
    """The template stays around them; raw ids have none."""
    text = "one two three four " * 6
    ids = original(text)["input_ids"]

    tokens = tokenizer.cut_ids(ids)

    assert tokenizer.encode([text])[0].ids == tokens.ids
    assert (16, len(ids), True) == (tokens.num_tokens, tokens.full_length, tokens.truncated)
    assert ids[:16] == tokenizer.cut_ids(ids, raw=True).ids


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


ENDS = ("[SEP]", 1), ("[CLS]", 0)


@pytest.mark.parametrize(
    ("processor", "before", "after"),
    [
        pytest.param(processors.BertProcessing(*ENDS), [0], [1], id="bert"),
        pytest.param(processors.RobertaProcessing(*ENDS), [0], [1], id="roberta"),
        pytest.param(
            processors.Sequence([processors.ByteLevel(), processors.BertProcessing(*ENDS)]),
            [0],
            [1],
            id="sequence",
        ),
        pytest.param(
            processors.TemplateProcessing(single="[CLS] [CLS] $A", special_tokens=[("[CLS]", 0)]),
            [0, 0],
            [],
            id="two-before",
        ),
        pytest.param(
            processors.TemplateProcessing(single="$A [SEP]", special_tokens=[("[SEP]", 1)]),
            [],
            [1],
            id="one-after",
        ),
        pytest.param(processors.ByteLevel(), [], [], id="nothing"),
        pytest.param(None, [], [], id="no-processor"),
    ],
)
def test_the_template_is_that_of_the_post_processor(
    tmp_path: Path, processor: processors.PostProcessor | None, before: list[int], after: list[int]
) -> None:
    """Seen on a vocabulary that has no "a" and no token for what is unknown."""
    path = tmp_path / "tokenizer.json"
    original = tokenizers.Tokenizer(models.WordLevel({"[CLS]": 0, "[SEP]": 1, "word": 2}))
    if processor is not None:
        original.post_processor = processor
    original.save(str(path))

    tokenizer = Tokenizer(path, max_tokens=8)

    template = tokenizer.template
    assert (before, after) == (template.before, template.after)
    assert tokenizer.encode(["word"])[0].ids == [*before, 2, *after]
    assert template.is_around([*before, 2, *after])
    assert template.is_around([*before, *after])
    assert template.is_around([2]) == (not before and not after)
    assert template.is_around([*before, 2]) == (not after)
    assert template.is_around([2, *after]) == (not before)
