"""Every kind of tokenizer gives the ids that transformers gives, whatever the text and wherever it is cut."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small_models
from hypothesis import example, given, settings
from hypothesis import strategies as st

from embed_onnx.tokenizer import Tokenizer
from export import tokenizer as exported

LIMIT = 8
UNKNOWN = "ж" * 24 + " "
"""One token of WordPiece; five of them end three characters before the first prefix does."""
kinds = pytest.mark.parametrize("kind", small_models.TOKENIZERS)
PIECES = [
    "word ", "reads a few", "unbelievable", " ", "   ", "\n", " \n ", "\t", "日本語の文", "한국어",
    "e\u0301", "\u0301", "か\u3099", "...", "!?\n", "12345", UNKNOWN, "'ll ", "x" * 40, "💥", "ﬁ",
    "Straße, ", "[MASK]", " [MASK]", "[MA", "SK]", "[SEP]", "\u00a0", "\u2581", "fooBAR", "\u200b",
    " " * 60, "\n" * 60, " \n" * 30,
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Tokenizer, Any]]:
    """Ours and transformers' tokenizer of a kind, each made once."""
    made: dict[tuple[str, str], tuple[Tokenizer, Any]] = {}

    def get(kind: str, side: str = "right") -> tuple[Tokenizer, Any]:
        if (kind, side) not in made:
            folder: Path = tmp_path_factory.mktemp(kind)
            original = small_models.fast_tokenizer(kind, max_tokens=LIMIT)
            original.truncation_side = side
            exported.write(original.backend_tokenizer, folder)
            ours = Tokenizer(folder / "tokenizer.json", max_tokens=LIMIT, truncation_side=side)
            made[kind, side] = ours, original
        return made[kind, side]

    return get


@kinds
@settings(max_examples=150, deadline=None)
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


@kinds
@settings(max_examples=50, deadline=None)
@given(text=texts)
def test_texts_are_cut_at_the_left_too(pair, kind: str, text: str) -> None:
    """A tokenizer with truncation_side left keeps the end of a text."""
    ours, original = pair(kind, "left")

    (tokens,) = ours.encode([text])

    whole = original(text)["input_ids"]
    assert original(text, truncation=True)["input_ids"] == tokens.ids
    assert len(whole) == tokens.full_length
    assert ours.cut_ids(list(range(20))).ids == list(range(12, 20))


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
    """Where words end at spaces; its length is then a lower bound, and told so."""
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
