"""Texts that come again: computed once in a request and, with a cache, once for all; the same to the bit."""

import asyncio
import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from harness import CLASSIFIER, MINILM, RERANKER, SMALL

from embed_onnx import Model
from embed_onnx.artifact import manifest
from embed_onnx.errors import InvalidRequest
from embed_onnx.models import registry
from embed_onnx.models.dense import Embedded
from embed_onnx.models.options import Options
from embed_onnx.models.registry import Registry
from embed_onnx.models.request_pairs import ScoreOptions
from embed_onnx.settings import Settings

WORDS = ["river", "stone", "window", "42", "blue,", "never.", "under", "code()", "ärger", "山", "walking"]
MEGABYTE = 2**20


class Counted:
    """A registry, and how many sequences its lanes have run."""

    def __init__(self, settings: Settings) -> None:
        self.sequences = 0
        self.models = Registry(registry.entries_to_serve(settings), settings, on_pack=self._add)
        self.models.load()

    def _add(self, sequences: int, _tokens: int, _seconds: float) -> None:
        self.sequences += sequences

    def __getitem__(self, name: str) -> Model:
        with self.models.use(name) as (model, _):
            return model

    def embed(self, texts: list[str], name: str = SMALL, tenant: str = "", **options: Any) -> Embedded:
        return asyncio.run(self[name].embed(texts, Options(**options), tenant=tenant))


@pytest.fixture
def plain(settings: Settings) -> Iterator[Counted]:
    counted = Counted(settings)
    with counted.models:
        yield counted


@pytest.fixture
def cached(settings: Settings) -> Iterator[Counted]:
    counted = Counted(msgspec.structs.replace(settings, cache_bytes=MEGABYTE))
    with counted.models:
        yield counted


def texts(count: int, *, seed: int) -> list[str]:
    """Of which about half are repeated."""
    rng = random.Random(seed)
    some = [" ".join(rng.choices(WORDS, k=rng.randint(1, 30))) for _ in range(count // 2)]
    return rng.choices(some, k=count)


def test_equal_texts_are_computed_once(plain: Counted, small: Model) -> None:
    """Whatever is written differently and has the same ids is equal; each counts in the usage."""
    inputs = [*texts(200, seed=1), "Stone", "stone", " stone "]
    own = Options(prompt="")
    ids = {tuple(tokens.ids) for tokens in small.tokenize(inputs, own)}

    embedded = plain.embed(inputs, prompt="")
    now = plain[SMALL].embed_now(inputs, own)

    alone = np.stack([small.encode([text], prompt="")[0] for text in inputs])
    assert alone.tobytes() == embedded.vectors.tobytes() == now.vectors.tobytes()
    assert 2 * len(ids) == plain.sequences < 2 * len(inputs)
    assert small.embed_now(inputs, own).tokens == embedded.tokens
    assert sum(len(small.tokenize([text], own)[0].ids) for text in inputs) == embedded.num_tokens
    assert 0 == embedded.hits


def test_token_ids_and_empty_texts_among_repeats(plain: Counted) -> None:
    ids = plain[SMALL].tokenize(["a", "b"], Options(prompt=""))

    embedded = plain.embed(["a", "", "b", "a", ""], prompt="", zeros=True)
    of_ids = asyncio.run(plain[SMALL].embed([ids[0].ids, ids[1].ids, ids[0].ids], Options()))

    assert 4 == plain.sequences
    assert [0, 0] == [int(np.abs(embedded.vectors[place]).sum()) for place in (1, 4)]
    assert embedded.vectors[[0, 2, 3]].tobytes() == of_ids.vectors.tobytes()


def test_pairs_that_repeat_are_scored_once(scoring_home: Path) -> None:
    settings = Settings(models=scoring_home / "models.txt", artifacts=scoring_home / "artifacts", threads=1)
    counted = Counted(settings)
    pairs = [("q", "a"), ("q", "b"), ("q", "a"), ("other", "a"), ("q", "a")]
    with counted.models:
        reranker = counted[RERANKER]
        scored = asyncio.run(reranker.score(pairs, ScoreOptions()))
        assert 3 == counted.sequences
        now = reranker.score_now(pairs, ScoreOptions())
        alone = [reranker.score_now([pair], ScoreOptions()) for pair in pairs]
    assert np.concatenate([each.logits for each in alone]).tobytes() == scored.logits.tobytes()
    assert scored.logits.tobytes() == now.logits.tobytes()
    assert sum(each.num_tokens for each in alone) == scored.num_tokens


def test_repeats_fit_where_what_is_computed_fits(settings: Settings) -> None:
    """A list of one text many times waits as one; one of other texts is too much for this queue."""
    counted = Counted(msgspec.structs.replace(settings, queue_tokens=50))
    with counted.models:
        assert (100, 32) == counted.embed(["a b c"] * 100).vectors.shape
        with pytest.raises(InvalidRequest, match="the queue holds 50"):
            counted.embed([f"a b {number}" for number in range(100)])


def test_a_cache_gives_the_same_bits_at_no_cost(cached: Counted, small: Model) -> None:
    """Hits and misses mixed, with every option that comes after; hits are counted, and so are all tokens."""
    first, second = texts(60, seed=2), texts(60, seed=3)
    for options in ({}, {"dimensions": 7}, {"normalize": True}, {"prompt": "other: "}):
        cached.embed(first, **options)
    before = cached.sequences

    for options in ({}, {"dimensions": 7}, {"dimensions": 9}, {"normalize": True}, {"prompt": "other: "}):
        mixed = [text for pair in zip(first, second, strict=True) for text in pair]
        embedded = cached.embed(mixed, **options)
        plain = small.embed_now(mixed, Options(**options))

        assert plain.vectors.tobytes() == embedded.vectors.tobytes()
        assert plain.tokens == embedded.tokens
        assert 60 <= embedded.hits
    assert cached.sequences - before == 2 * len(set(second) - set(first))


def test_a_cache_keeps_raw_vectors_apart(cached: Counted, artifacts: Path) -> None:
    with Model.load(artifacts / MINILM) as plain:
        for normalize in (None, False, True, False, None):
            vectors = cached.embed(["to be cached"], MINILM, normalize=normalize).vectors
            expected = plain.encode(["to be cached"], normalize=normalize)
            assert expected.tobytes() == vectors.tobytes()
    assert 2 == cached.sequences


def test_a_cache_never_answers_for_another_model(cached: Counted, artifacts: Path) -> None:
    inputs = texts(20, seed=4)
    for name in (SMALL, MINILM, SMALL, MINILM):
        with Model.load(artifacts / name) as plain:
            assert plain.encode(inputs).tobytes() == cached.embed(inputs, name).vectors.tobytes()


def test_a_cache_never_answers_for_another_artifact(settings: Settings, tmp_path: Path) -> None:
    """A model that was exported again gives its own vectors after the reload, and what was kept is of no
    use."""
    folder = tmp_path / "artifacts" / SMALL
    shutil.copytree(settings.artifacts / SMALL, folder)
    counted = Counted(
        Settings(models=tmp_path / "none", artifacts=tmp_path / "artifacts", threads=1, cache_bytes=MEGABYTE)
    )
    inputs = texts(20, seed=5)
    with counted.models:
        before = counted.embed(inputs)
        assert counted.embed(inputs).hits == 20
        described = manifest.read(folder)
        output = msgspec.structs.replace(described.output, pooling=("cls",))
        manifest.write(msgspec.structs.replace(described, output=output), folder)
        counted.models.reload()
        after = counted.embed(inputs)
        again = counted.embed(inputs)
    with Model.load(folder) as plain:
        expected = plain.encode(inputs)
    assert (0, 20) == (after.hits, again.hits)
    assert expected.tobytes() == after.vectors.tobytes() == again.vectors.tobytes()
    assert before.vectors.tobytes() != after.vectors.tobytes()


def test_a_cache_under_load_and_far_too_small(settings: Settings, small: Model) -> None:
    """Eight threads send the same few texts in lists of any length, and entries go as others come."""
    counted = Counted(msgspec.structs.replace(settings, threads=2, cache_bytes=20_000))
    wrong: list[str] = []
    pool = sorted(set(texts(120, seed=6)))
    expected = dict(zip(pool, small.encode(pool), strict=True))

    def send(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(15):
            inputs = rng.choices(pool, k=rng.randint(1, 40))
            vectors = counted[SMALL].embed_now(inputs, Options()).vectors
            wrong.extend(
                text
                for text, vector in zip(inputs, vectors, strict=True)
                if vector.tobytes() != expected[text].tobytes()
            )

    with counted.models:
        threads = [threading.Thread(target=send, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert counted.models.cache is not None
        assert 0 < counted.models.cache.bytes <= 20_000
    assert [] == wrong


def test_what_a_caller_changes_is_not_what_is_kept(cached: Counted) -> None:
    for _ in range(2):
        vectors = cached.embed(["kept", "kept too"]).vectors
        expected = vectors.copy()
        vectors[:] = 0
    assert expected.tobytes() == cached.embed(["kept", "kept too"]).vectors.tobytes()


@pytest.mark.parametrize("shared", [False, True])
def test_tenants(settings: Settings, shared: bool) -> None:
    """A key does not see by the time of an answer what another has sent, unless the setting says so."""
    counted = Counted(msgspec.structs.replace(settings, cache_bytes=MEGABYTE, shared_cache=shared))
    with counted.models:
        hits = [counted.embed(["the plan"], tenant=tenant).hits for tenant in ("a", "b", "a", "b")]
    assert [0, int(shared), 1, 1] == hits


def test_logits_are_kept_too(scoring_home: Path) -> None:
    settings = Settings(models=scoring_home / "models.txt", artifacts=scoring_home / "artifacts", threads=1)
    counted = Counted(msgspec.structs.replace(settings, cache_bytes=MEGABYTE))
    pairs = [("q", "a"), ("q", "b")]
    with counted.models:
        scored = [asyncio.run(counted[RERANKER].score(pairs, ScoreOptions())) for _ in range(2)]
        classified = [counted[CLASSIFIER].score_now(["q", "a"], ScoreOptions()) for _ in range(2)]
        assert 4 == counted.sequences
    assert [0, 2] == [each.hits for each in scored] == [each.hits for each in classified]
    assert scored[0].logits.tobytes() == scored[1].logits.tobytes()
    assert classified[0].logits.tobytes() == classified[1].logits.tobytes()


def test_results_of_a_request_that_fails_are_not_kept(cached: Counted) -> None:
    with pytest.raises(InvalidRequest):
        cached.embed(["good", "x " * 1000], truncate=False)
    assert 0 == cached.embed(["good"]).hits
