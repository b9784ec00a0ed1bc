"""Every kind of tokenizer gives the ids that transformers gives, whatever the text and wherever it is cut."""

import copy
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small_tokenizers
import tokenizers
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import models

from embed_onnx.models.tokenizer import Tokenizer
from embed_onnx_export.checkpoint import tokenizer_file as exported

LIMIT = 8
UNKNOWN = "ж" * 24 + " "
"""One token of WordPiece; five of them end three characters before the first prefix does."""
kinds = pytest.mark.parametrize("kind", small_tokenizers.TOKENIZERS)
PIECES = [
    "word ", "reads a few", "unbelievable", " ", "   ", "\n", " \n ", "\t", "日本語の文", "한국어",
    "e\u0301", "\u0301", "か\u3099", "...", "!?\n", "12345", UNKNOWN, "'ll ", "x" * 40, "💥", "ﬁ",
    "Straße, ", "[MASK]", " [MASK]", "[MA", "SK]", "[SEP]", "\u00a0", "\u2581", "fooBAR", "\u200b",
    " " * 60, "\n" * 60, " \n" * 30,
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)


def trained(kind: str) -> Any:
    """Transformers' tokenizer of a kind, always the same one: training ties may fall either way."""
    return copy.deepcopy(_trained(kind))


_trained = functools.cache(functools.partial(small_tokenizers.fast_tokenizer, max_tokens=LIMIT))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Tokenizer, Any]]:
    """Ours and transformers' tokenizer of a kind, each made once."""
    result: dict[tuple[str, str], tuple[Tokenizer, Any]] = {}

    def get(kind: str, side: str = "right") -> tuple[Tokenizer, Any]:
        if (kind, side) not in result:
            folder: Path = tmp_path_factory.mktemp(kind)
            original = trained(kind)
            original.truncation_side = side
            exported.write(original.backend_tokenizer, folder)
            ours = Tokenizer(folder / "tokenizer.json", max_tokens=LIMIT, truncation_side=side)
            result[kind, side] = ours, original
        return result[kind, side]

    return get


@kinds
@given(text=texts)
@example(text="a" * 100 + "  \n" + "  \n" * 40 + "y")
@example(text=UNKNOWN * 5 + "[MASK]" + " and more of them" * 9)
def test_a_prefix_decides_as_the_whole_text_would(pair, kind: str, text: str) -> None:
    """A long text, of which only the start is tokenized, has the ids and the length it would have in full."""
    ours, original = pair(kind)

    (tokens,) = ours.encode([text])

    whole = original(text)["input_ids"]
    assert original(text, truncation=True)["input_ids"] == tokens.ids
    assert (len(whole) > LIMIT) == tokens.truncated
    assert tokens.full_length == len(whole) if tokens.exact else tokens.full_length <= len(whole)
    assert ours.cut_ids(whole).ids == tokens.ids
    assert ours.template.is_around(tokens.ids)


@kinds
@given(text=texts)
def test_texts_are_cut_at_the_left_too(pair, kind: str, text: str) -> None:
    """A tokenizer with truncation_side left keeps the end of a text."""
    ours, original = pair(kind, "left")

    (tokens,) = ours.encode([text])

    whole = original(text)["input_ids"]
    assert original(text, truncation=True)["input_ids"] == tokens.ids
    assert len(whole) == tokens.full_length
    assert ours.cut_ids(whole).ids == tokens.ids


@kinds
@pytest.mark.parametrize("words", [1, *range(LIMIT - 4, LIMIT + 3), 100, 3000])
def test_every_length_around_the_limit(pair, kind: str, words: int) -> None:
    """Words of one token each, up to the limit and beyond it."""
    ours, original = pair(kind)
    text = " ".join(["a"] * words)

    (tokens,) = ours.encode([text])

    assert original(text, truncation=True)["input_ids"] == tokens.ids
    assert (len(original(text)["input_ids"]) > LIMIT) == tokens.truncated


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "gpt2", "unigram"])
def test_of_a_very_long_text_only_the_start_is_tokenized(pair, kind: str) -> None:
    """Where words end at spaces; its length is then a lower bound, and marked so."""
    ours, _ = pair(kind)

    (tokens,) = ours.encode(["a few words " * 10_000])

    assert not tokens.exact
    assert tokens.full_length < 1000


@pytest.mark.parametrize(
    ("kind", "around"),
    [
        pytest.param("wordpiece", ([2], [3]), id="both"),
        pytest.param("bpe", ([], [3]), id="end"),
        pytest.param("byte-fallback", ([2], []), id="beginning"),
        pytest.param("bare", ([], []), id="nothing"),
    ],
)
def test_special_tokens_are_those_of_the_template(
    pair, kind: str, around: tuple[list[int], list[int]]
) -> None:
    ours, _ = pair(kind)
    first, last = around

    short, long = ours.encode(["words", "a few words " * 500])

    for tokens in (short, long):
        assert first == tokens.ids[:1] if first else 2 not in tokens.ids
        assert last == tokens.ids[-1:] if last else 3 not in tokens.ids
    assert LIMIT == long.num_tokens
    assert (first, last) == (ours.template.before, ours.template.after)


@pytest.fixture(scope="module")
def literal(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Tokenizer, Tokenizer]]:
    """A tokenizer of a kind to which special tokens in a text are text: with the limit, and without one."""
    result: dict[str, tuple[Tokenizer, Tokenizer]] = {}

    def get(kind: str) -> tuple[Tokenizer, Tokenizer]:
        if kind not in result:
            folder: Path = tmp_path_factory.mktemp(kind)
            exported.write(trained(kind).backend_tokenizer, folder)
            path = folder / "tokenizer.json"
            result[kind] = (
                Tokenizer(path, max_tokens=LIMIT, literal_special_tokens=True),
                Tokenizer(path, max_tokens=None, literal_special_tokens=True),
            )
        return result[kind]

    return get


SPECIAL_IDS = set(range(1, len(small_tokenizers.SPECIAL)))
"""But for [UNK], which stands for characters that are unknown."""


@kinds
@given(text=texts)
@example(text="[SEP]")
@example(text="words[PAD] [MASK]words [CLS]")
@example(text="[SEP]" * 40)
def test_special_tokens_in_a_text_can_be_ordinary_text(literal, pair, kind: str, text: str) -> None:
    """None is among a text's ids, at any length; and a text without them has the ids that it always has."""
    ours, unlimited = literal(kind)
    (tokens,), (whole,) = ours.encode([text]), unlimited.encode([text])
    before, after = ours.template.before, ours.template.after
    written = whole.ids[len(before) : len(whole.ids) - len(after)]

    assert not SPECIAL_IDS & set(written)
    assert [*before, *written[: LIMIT - len(ours.template)], *after] == tokens.ids
    assert (len(whole.ids) > LIMIT) == tokens.truncated
    if not any(name in text for name in small_tokenizers.SPECIAL):
        assert pair(kind)[0].encode([text])[0].ids == tokens.ids


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "gpt2", "byte-fallback", "bare"])
@pytest.mark.parametrize("text", ["[SEP]", "a few[PAD] words [MASK]", "[CLS] [unk] [UNK] [ SEP ]"])
def test_ordinary_text_is_what_transformers_makes_of_it(literal, kind: str, text: str) -> None:
    """Where split_special_tokens has an effect there; a Unigram's vocabulary has them as pieces."""
    _, unlimited = literal(kind)
    original = trained(kind)

    (tokens,) = unlimited.encode([text])

    assert original(text, split_special_tokens=True)["input_ids"] == tokens.ids


@kinds
def test_special_tokens_keep_their_names(literal, pair, kind: str) -> None:
    """What the vocabulary calls an id is the same, whether or not a text can name it."""
    ours, _ = literal(kind)
    everything = range(ours.num_ids)

    assert pair(kind)[0].words(everything) == ours.words(everything)
    assert small_tokenizers.SPECIAL == ours.words(range(5))


def test_merges_that_make_a_special_token(tmp_path: Path) -> None:
    """Llama's older files have them: the pieces of "</s>" would come together."""
    vocabulary = {"<": 0, "/": 1, "s": 2, ">": 3, "</": 4, "s>": 5, "</s>": 6, "a": 7, "as": 8}
    merges = [("<", "/"), ("s", ">"), ("</", "s>"), ("a", "s"), ("</s>", "a")]
    original = tokenizers.Tokenizer(models.BPE({**vocabulary, "</s>a": 9}, merges))
    original.add_special_tokens(["</s>"])
    path = tmp_path / "tokenizer.json"
    original.save(str(path))

    (usual,) = Tokenizer(path, max_tokens=None).encode(["as</s>"])
    (literal,) = Tokenizer(path, max_tokens=None, literal_special_tokens=True).encode(["as</s>"])

    assert [8, 6] == usual.ids
    assert [8, 4, 5] == literal.ids
