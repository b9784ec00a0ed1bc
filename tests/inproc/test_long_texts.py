"""Texts beyond the limit with ``long_texts="mean"``: which windows there are, and what their mean is."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from harness import MINILM, SMALL

from embed_onnx import Model
from embed_onnx.artifact.outputs import Dense
from embed_onnx.engine.vectors import normalize
from embed_onnx.errors import InvalidRequest
from embed_onnx.models import windows
from embed_onnx.models.dense import Embedded
from embed_onnx.models.options import Options
from embed_onnx.models.windows import LongText
from embed_onnx.scheduling.scheduler import Scheduler

WORDS = "a river and a stone below the window of an old house that nobody walks to any more "
LONG = WORDS * 40


def mean(model: Model, inputs: list[str] | list[list[int]], **options: Any) -> Embedded:
    return model.embed_now(inputs, Options(long_texts="mean", **options))


def long_text(embedded: Embedded, place: int = 0) -> LongText:
    text = embedded.tokens[place]
    assert isinstance(text, LongText)
    return text


def ids(model: Model, text: str, **options: Any) -> list[int]:
    """All ids of a text, without those around it."""
    pieces = asyncio.run(model.show_pieces([text], Options(add_special_tokens=False, **options)))[0]
    return [piece.id for piece in pieces]


def test_a_long_text_has_the_mean_of_its_windows(minilm: Model) -> None:
    """Each window is a text of its own; together they have every token."""
    embedded = mean(minilm, [LONG])

    text = long_text(embedded)
    own = [window.ids[1:-1] for window in text.windows]
    alone = minilm.encode([[101, *part, 102] for part in own])
    expected = normalize(
        np.average(alone.astype(np.float64), axis=0, weights=text.weights).astype(np.float32)
    )
    assert ids(minilm, LONG) == [token for part in own for token in part]
    assert len(own) == -(-len(ids(minilm, LONG)) // 254)
    assert max(window.num_tokens for window in text.windows) <= 256
    assert np.allclose(expected, embedded.vectors[0], atol=1e-6)
    assert embedded.num_tokens == len(ids(minilm, LONG)) + 2 * len(own)
    assert not text.truncated


def test_the_end_of_a_text_counts(minilm: Model) -> None:
    """Cut texts that begin alike are the same; their windows are not."""
    texts = [LONG + "quantum physics of black holes", LONG + "baking bread with rye flour"]

    cut, whole = minilm.encode(texts), minilm.encode(texts, long_texts="mean")

    assert cut[0].tobytes() == cut[1].tobytes()
    assert whole[0].tobytes() != whole[1].tobytes()


def test_a_text_within_the_limit_is_as_ever(minilm: Model) -> None:
    """Also beside long ones, also at exactly the limit."""
    exactly = " ".join(["river"] * 254)
    texts = ["short", LONG, exactly, LONG + "more", "short"]

    embedded = mean(minilm, texts)
    in_turn = asyncio.run(minilm.embed(texts, Options(long_texts="mean")))

    for place in (0, 2, 4):
        assert minilm.encode([texts[place]]).tobytes() == embedded.vectors[place].tobytes()
    for place in (1, 3):
        assert mean(minilm, [texts[place]]).vectors.tobytes() == embedded.vectors[place].tobytes()
    assert embedded.vectors.tobytes() == in_turn.vectors.tobytes()
    assert embedded.tokens == in_turn.tokens


@pytest.mark.parametrize("prompt", ["", "query: ", "passage in a long prompt:"])
def test_each_window_has_the_prompt(minilm: Model, prompt: str) -> None:
    text = long_text(mean(minilm, [LONG], prompt=prompt))
    before = [101, *ids(minilm, "", prompt=prompt)] if prompt else [101]

    inside = [window.ids[len(before) : -1] for window in text.windows]
    assert all(before == window.ids[: len(before)] for window in text.windows)
    assert ids(minilm, LONG) == [token for part in inside for token in part]


def test_a_prompt_that_is_not_pooled(home: Path, small: Model) -> None:
    """It is left out of every window, as of a short text."""
    assert isinstance(small.manifest.output, Dense)
    output = msgspec.structs.replace(small.manifest.output, include_prompt=False)
    described = msgspec.structs.replace(small.manifest, output=output)
    model = Model(home / "artifacts" / SMALL, described, small._scheduler, small.kernels)

    text = long_text(mean(model, ["word " * 200], prompt="query: "))

    (short,) = model.tokenize(["word"], Options(prompt="query: "))
    assert short.prompt > 0
    assert {short.prompt} == {window.prompt for window in text.windows}


def test_raw_and_shorter_vectors(minilm: Model) -> None:
    """The mean of vectors that are not normalised is not; a cut comes after the mean."""
    text = long_text(mean(minilm, [LONG]))
    inputs = [window.ids for window in text.windows]
    raw = minilm.encode(inputs, normalize=False).astype(np.float64)

    vectors = mean(minilm, [LONG], normalize=False).vectors
    shorter = mean(minilm, [LONG], dimensions=32).vectors

    assert np.allclose(np.average(raw, axis=0, weights=text.weights), vectors[0], atol=1e-6)
    whole = mean(minilm, [LONG]).vectors
    assert normalize(whole[:, :32]).tobytes() == shorter.tobytes()
    assert np.allclose(1, np.linalg.norm(whole, axis=1))


def test_token_ids_are_parted_too(minilm: Model) -> None:
    own = ids(minilm, LONG)

    with_template = mean(minilm, [[101, *own, 102]])
    raw = mean(minilm, [own], add_special_tokens=False)

    assert mean(minilm, [LONG]).vectors.tobytes() == with_template.vectors.tobytes()
    assert own == [token for window in long_text(raw).windows for token in window.ids]
    assert max(window.num_tokens for window in long_text(raw).windows) <= 256


def test_a_lower_limit_makes_smaller_windows(minilm: Model) -> None:
    text = long_text(mean(minilm, [LONG], max_tokens=40))

    assert max(window.num_tokens for window in text.windows) == 40


def test_nothing_is_refused_for_its_length(minilm: Model) -> None:
    assert (1, 384) == mean(minilm, [LONG], truncate=False).vectors.shape


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param({"max_tokens": 17}, "must be left for input[1]", id="small-windows"),
        pytest.param({"prompt": "long " * 300}, "302 of the 256 tokens of a window", id="long-prompt"),
        pytest.param({"long_texts": "average"}, "it is one of cut, mean", id="word"),
    ],
)
def test_windows_without_room_are_refused(minilm: Model, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        minilm.embed_now(["short", LONG], Options(**{"long_texts": "mean", **options}))

    assert sentence in str(refused.value)
    assert refused.value.param == "long_texts"


def test_windows_that_exceed_the_queue_are_refused(artifacts: Path, minilm: Model) -> None:
    """Before they are made, as there may be very many of them."""
    with Scheduler(lanes=1, queue_tokens=500) as scheduler:
        model = Model(artifacts / MINILM, minilm.manifest, scheduler, minilm.kernels)

        assert (1, 384) == mean(model, ["river " * 400]).vectors.shape
        with pytest.raises(
            InvalidRequest, match=r"input\[1\] has 70\d tokens in 3 windows and the queue holds 500"
        ):
            mean(model, ["short", "river " * 700])


def test_equal_windows_are_computed_once(artifacts: Path, minilm: Model) -> None:
    """Windows are sequences as any."""
    packs: list[int] = []
    own = [2314] * 200
    with Scheduler(lanes=1, queue_tokens=1000, on_pack=lambda count, *_: packs.append(count)) as scheduler:
        model = Model(artifacts / MINILM, minilm.manifest, scheduler, minilm.kernels)
        embedded = mean(model, [own * 2, own], add_special_tokens=False)

    assert [1] == packs
    assert np.allclose(embedded.vectors[1], embedded.vectors[0], atol=1e-6)


def test_a_short_text_is_one_window(minilm: Model) -> None:
    assert [1] == [len(windows.of(item)) for item in mean(minilm, ["short"]).tokens]
