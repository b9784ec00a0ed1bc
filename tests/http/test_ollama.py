"""Ollama's own client against a real server, where only the host is changed."""

import asyncio
from collections.abc import Iterator

import httpx
import numpy as np
import ollama
import pytest
from harness import MINILM, SMALL, Server

from embed_onnx import Model

TEXTS = ["Hello", "a second, somewhat longer text"]


@pytest.fixture
def theirs(server: Server) -> Iterator[ollama.Client]:
    with ollama.Client(server.url) as opened:
        yield opened


@pytest.mark.parametrize("name", [MINILM, f"{MINILM}:latest", "text-embedding-3-small:latest"])
def test_embed(theirs: ollama.Client, minilm: Model, name: str) -> None:
    """Vectors, durations in nanoseconds and tokens; the model as it was asked for."""
    answer = theirs.embed(name, TEXTS, options={"num_ctx": 64}, keep_alive="5m")

    assert np.array_equal(minilm.encode(TEXTS), np.array(answer.embeddings, np.float32))
    assert name == answer.model
    assert 11 == answer.prompt_eval_count
    assert answer.total_duration > answer.load_duration > 0


def test_one_text_dimensions_and_a_prompt(theirs: ollama.Client, small: Model) -> None:
    """One text is one vector in a list; a prompt is named in the model's name, as on our own route."""
    answer = theirs.embed(f"{SMALL}:query", "a few words", dimensions=7)

    expected = small.encode(["a few words"], prompt_name="query", dimensions=7)
    assert np.array_equal(expected, np.array(answer.embeddings, np.float32))


def test_the_older_form(theirs: ollama.Client, minilm: Model) -> None:
    answer = theirs.embeddings(MINILM, "Hello")

    assert np.array_equal(minilm.encode(["Hello"])[0], np.array(answer.embedding, np.float32))


@pytest.mark.parametrize("value", ["", []])
def test_nothing_to_embed_has_the_model_loaded(theirs: ollama.Client, value: object) -> None:
    """As Ollama's clients do it to load a model beforehand; an unknown one is an error all the same."""
    assert [] == list(theirs.embed(MINILM, value).embeddings)
    assert [] == list(theirs.embeddings(MINILM).embedding)
    with pytest.raises(ollama.ResponseError, match="not served here"):
        theirs.embed("nope", value)


def test_an_empty_text_among_others_is_embedded(theirs: ollama.Client, minilm: Model) -> None:
    answer = theirs.embed(MINILM, ["", "Hello"])

    assert np.array_equal(minilm.encode(["", "Hello"]), np.array(answer.embeddings, np.float32))


def test_async_client(server: Server, minilm: Model) -> None:
    async def embed() -> list[list[float]]:
        async with ollama.AsyncClient(server.url) as opened:
            return [list(vector) for vector in (await opened.embed(MINILM, TEXTS)).embeddings]

    assert np.array_equal(minilm.encode(TEXTS), np.array(asyncio.run(embed()), np.float32))


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        pytest.param({"input": "x"}, 400, "missing required field `model`", id="no-model"),
        pytest.param({"model": "nope", "input": "x"}, 404, "served are all-MiniLM-L6-v2", id="unknown-model"),
        pytest.param({"model": SMALL, "input": [1, 2]}, 400, "send a text or a list of texts", id="ids"),
        pytest.param({"model": SMALL, "input": [[1]]}, 400, "send a text or a list of texts", id="lists"),
        pytest.param({"model": SMALL, "input": {}}, 400, "send a text or a list of texts", id="object"),
        pytest.param({"model": SMALL, "input": ["x", 1]}, 400, "got `int`", id="mixed"),
        pytest.param({"model": SMALL, "input": "x", "dimensions": 33}, 400, "1 to 32", id="dimensions"),
        pytest.param(
            {"model": SMALL, "input": "x " * 60, "truncate": False},
            400,
            "context length is 48",
            id="too-long",
        ),
    ],
)
def test_errors(client: httpx.Client, body: dict[str, object], status: int, sentence: str) -> None:
    """Ollama's shape, our sentence and status."""
    answer = client.post("/api/embed", json=body)

    assert {"error"} == set(answer.json())
    assert sentence in answer.json()["error"]
    assert status == answer.status_code


def test_the_client_hears_the_reason(theirs: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="the model 'nope' is not served here") as refused:
        theirs.embed("nope", "x")

    assert 404 == refused.value.status_code


@pytest.mark.parametrize("nothing", [{}, {"input": ""}, {"input": []}, {"input": None}], ids=str)
def test_a_prompt_without_a_text(client: httpx.Client, nothing: dict[str, object]) -> None:
    """The text of the older route, sent to the newer one, does not vanish."""
    refused = client.post("/api/embed", json={"model": MINILM, "prompt": "a", **nothing})
    loaded = client.post("/api/embed", json={"model": MINILM, **nothing})

    assert 400 == refused.status_code
    assert "send the text as input, or to POST /api/embeddings" in refused.json()["error"]
    assert (200, []) == (loaded.status_code, loaded.json()["embeddings"])


def test_fields_among_the_options(client: httpx.Client, minilm: Model) -> None:
    request = {"model": MINILM, "input": TEXTS, "options": {"dimensions": 8, "seed": 1}}

    vectors = client.post("/api/embed", json=request).json()["embeddings"]

    assert np.array_equal(minilm.encode(TEXTS, dimensions=8), np.array(vectors, np.float32))


def test_errors_of_the_older_route_name_its_field(client: httpx.Client) -> None:
    for prompt, fields in (("word " * 300, {"truncate": False}), ("x" * 1_000_001, {})):
        answer = client.post("/api/embeddings", json={"model": MINILM, "prompt": prompt, **fields})
        assert (400, True) == (answer.status_code, answer.json()["error"].startswith("prompt has ")), (
            answer.text
        )
