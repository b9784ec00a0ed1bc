"""``normalize: false``: the vector before the Normalize of a model, as text-embeddings-inference gives it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import kept
import numpy as np
import pytest
import small_models
from harness import MINILM, START_SECONDS, Server
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

from embed_onnx import Model

TEXTS = ["a few words", "numbers such as 12 and 345 stand beside letters, commas and dots.", "x"]


def with_a_head(plain: Path, folder: Path) -> Path:
    """A checkpoint whose Normalize comes after a Dense."""
    model = SentenceTransformer(str(plain), device="cpu")
    modules = [model[0], Pooling(small_models.WIDTH, "mean"), Dense(small_models.WIDTH, 16), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def folder() -> Path:
    """Models that end with Normalize, without it, and with one after a head; as float32 for comparison."""
    return kept.folder(models)


def models(home: Path) -> None:
    small_models.save(home / "unit")
    small_models.save(home / "free", normalize=False)
    with_a_head(home / "unit", home / "head")
    kept.export(home, "".join(f"./{name} precision=float32\n" for name in NAMES))


NAMES = ("unit", "free", "head")


@pytest.fixture(scope="module", params=NAMES)
def pair(folder: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Model, np.ndarray]]:
    """A model, and the original's vectors without its Normalize."""
    original = SentenceTransformer(str(folder / request.param), device="cpu")
    modules = [module for module in original if not isinstance(module, Normalize)]
    expected = SentenceTransformer(modules=modules, device="cpu").encode(TEXTS, prompt="")
    with Model.load(folder / "artifacts" / request.param) as model:
        yield model, expected


def test_before_normalize(pair: tuple[Model, np.ndarray]) -> None:
    """They are the original's, and normalised they are those of the default."""
    model, expected = pair

    raw = model.encode(TEXTS, normalize=False)

    assert np.allclose(expected, raw, atol=1e-4)
    assert np.abs(np.linalg.norm(raw, axis=1) - 1).min() > 0.01
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    assert np.allclose(unit, model.encode(TEXTS, normalize=True), atol=1e-6)


def test_cut_and_not_normalised(pair: tuple[Model, np.ndarray]) -> None:
    model, _ = pair

    assert np.array_equal(
        model.encode(TEXTS, normalize=False)[:, :5], model.encode(TEXTS, normalize=False, dimensions=5)
    )
    cut = model.encode(TEXTS, normalize=True, dimensions=5)
    assert np.allclose(1, np.linalg.norm(cut, axis=1), atol=1e-5)


def test_the_same_bits_in_any_company(pair: tuple[Model, np.ndarray], minilm: Model) -> None:
    """Alone, in a list, and beside requests that want the other kind."""
    for model in (pair[0], minilm):
        texts = TEXTS * 20
        raw, usual = model.encode(texts, normalize=False), model.encode(texts)
        for index in range(len(TEXTS)):
            assert np.array_equal(raw[index], model.encode(TEXTS[index], normalize=False))
            assert np.array_equal(usual[index], model.encode(TEXTS[index]))


def test_over_http(client: httpx.Client, minilm: Model) -> None:
    """On every route the same bits; the default of each is what it was."""
    raw, unit = minilm.encode(TEXTS, normalize=False), minilm.encode(TEXTS)
    for path, body in {"/embed": {"inputs": TEXTS}, "/api/embed": {"model": MINILM, "input": TEXTS}}.items():
        for request, expected in ((False, raw), (True, unit), (None, unit)):
            answer = client.post(path, json=body | {"normalize": request}).json()
            actual = answer if isinstance(answer, list) else answer["embeddings"]
            assert np.array_equal(expected, np.array(actual, np.float32))
    for request, expected in ((False, raw), (True, unit), (None, unit)):
        answer = client.post("/v1/embeddings", json={"input": TEXTS, "normalize": request, "dimensions": 384})
        actual = [item["embedding"] for item in answer.json()["data"]]
        assert np.array_equal(expected, np.array(actual, np.float32))


def test_a_model_without_normalize_over_http(folder: Path, tmp_path: Path) -> None:
    """OpenAI's route leaves it as it is unless asked; those of TEI normalise unless asked not to."""
    shutil.copytree(folder / "artifacts" / "free", tmp_path / "artifacts" / "free")
    with Model.load(tmp_path / "artifacts" / "free") as model, Server([], {}, tmp_path) as server:
        server.wait_ready()
        with httpx.Client(base_url=server.url, timeout=START_SECONDS) as client:
            ours = client.post("/v1/embeddings", json={"input": "a few words"}).json()["data"][0]["embedding"]
            unit = client.post("/v1/embeddings", json={"input": "a few words", "normalize": True})
            tei = client.post("/embed", json={"inputs": "a few words"}).json()
            raw = client.post("/embed", json={"inputs": "a few words", "normalize": False}).json()

        plain = model.encode("a few words")
        assert np.array_equal(plain, np.array(ours, np.float32))
        assert np.array_equal(plain, np.array(raw[0], np.float32))
        assert unit.json()["data"][0]["embedding"] == tei[0]
        assert np.isclose(1, np.linalg.norm(tei[0]), atol=1e-5)
