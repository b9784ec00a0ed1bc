"""Long texts in windows: every token once, as few windows as fit, and their mean."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from embed_onnx.engine.vectors import normalize, weighted_mean
from embed_onnx.models import windows
from embed_onnx.models.tokenizer import Template, Tokens

TEMPLATE = Template([101], [102, 103])
IDS = st.lists(st.integers(0, 9), max_size=4)


@given(st.lists(st.integers(0, 999), min_size=1, max_size=200), IDS, st.integers(1, 50), st.integers(0, 3))
def test_each_token_is_in_one_window(own: list[int], prompt: list[int], room: int, unpooled: int) -> None:
    number = windows.count(len(own), room)

    text = windows.parted(prompt, own, number, TEMPLATE, unpooled=unpooled)

    before, after = [101, *prompt], [102, 103]
    inside = [window.ids[len(before) : -len(after)] for window in text.windows]
    assert own == [token for part in inside for token in part]
    assert all([*before, *part, *after] == each.ids for part, each in zip(inside, text.windows, strict=True))
    assert max(map(len, inside)) <= room
    assert max(map(len, inside)) - min(map(len, inside)) <= 1
    assert len(own) > (number - 1) * room
    assert text.weights == [len(part) for part in inside]
    assert text.num_tokens == sum(window.num_tokens for window in text.windows)
    assert {unpooled} == {window.prompt for window in text.windows}
    assert not text.truncated


def test_means_stand_in_the_places_of_their_texts() -> None:
    vectors = normalize(np.random.default_rng(1).normal(size=(5, 8)).astype(np.float32))
    short = Tokens([1, 2], 2)
    text = windows.parted([], list(range(10)), 3, TEMPLATE, unpooled=0)

    merged = windows.merged(vectors, [short, text, short], renormalize=True)
    raw = windows.merged(vectors, [short, text, short], renormalize=False)

    expected = np.average(vectors[1:4].astype(np.float64), axis=0, weights=[3, 3, 4])
    assert [3, 3, 4] == text.weights
    assert vectors[[0, 4]].tobytes() == merged[[0, 2]].tobytes() == raw[[0, 2]].tobytes()
    assert np.allclose(expected, raw[1], atol=1e-7)
    assert np.allclose(expected / np.linalg.norm(expected), merged[1], atol=1e-6)
    assert np.array_equal(weighted_mean(vectors[1:4], text.weights), raw[1])


def test_without_long_texts_nothing_is_copied() -> None:
    vectors = np.ones((2, 4), np.float32)

    assert windows.merged(vectors, [Tokens([1], 1)] * 2, renormalize=True) is vectors
