"""Fields of other APIs on every route of a server: the vectors are those of our own fields."""

from typing import Any

import httpx
import numpy as np
import pytest
from harness import MINILM, SMALL

from embed_onnx import Model

TEXT = "a text of some words, of which there are more than a few"
ROUTES = {
    "/v1/embeddings": {"input": TEXT},
    "/embed": {"inputs": TEXT},
    "/api/embed": {"model": MINILM, "input": TEXT},
    "/api/embeddings": {"model": MINILM, "prompt": TEXT},
    "/tokenize": {"input": TEXT},
}


def vectors(answer: httpx.Response) -> np.ndarray:
    """The vectors of an answer, on whichever route."""
    assert 200 == answer.status_code, answer.text
    sent = answer.json()
    if isinstance(sent, dict):
        sent = sent.get("embeddings") or sent.get("data") or [sent["embedding"]]
    return np.array([row["embedding"] if isinstance(row, dict) else row for row in sent], np.float32)


def message(answer: httpx.Response) -> str:
    error = answer.json()["error"]
    return error if isinstance(error, str) else error["message"]


@pytest.mark.parametrize(
    "name",
    [
        *("output_dimension", "output_dimensionality", "outputDimensionality", "output_dim", "dim", "dims"),
        *("matryoshka_dim", "truncate_dim", "embeddingDimension"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/embeddings", "/embed", "/api/embed", "/api/embeddings"])
def test_other_names_of_dimensions(client: httpx.Client, minilm: Model, path: str, name: str) -> None:
    """On every route, the vector is that of ``dimensions``, to the bit."""
    cut = client.post(path, json=ROUTES[path] | {name: 7})

    assert np.array_equal(minilm.encode([TEXT], dimensions=7), vectors(cut))


@pytest.mark.parametrize("path", ROUTES)
def test_refused_on_every_route(client: httpx.Client, path: str) -> None:
    """In the shape and with the status of the route."""
    for field, value in {"images": ["x"], "modality": "audio", "maxTokens": 2}.items():
        answer = client.post(path, json=ROUTES[path] | {field: value})
        assert (422 if path == "/embed" else 400) == answer.status_code
        assert message(answer).startswith(field)
        unchanged = client.post(path, json=ROUTES[path] | {"anything": value, "stream": False})
        assert 200 == unchanged.status_code


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        pytest.param("/v1/embeddings", {"truncate_prompt_tokens": 6}, id="vllm"),
        pytest.param("/v1/embeddings", {"max_tokens": 6}, id="cohere"),
        pytest.param("/embed", {"max_length": 6}, id="tei"),
        pytest.param("/api/embed", {"options": {"num_ctx": 6, "temperature": 0, "seed": 1}}, id="ollama"),
        pytest.param("/api/embeddings", {"options": {"num_ctx": 6}}, id="ollama-older"),
        pytest.param("/api/embed", {"num_ctx": 6}, id="ollama-misplaced"),
        pytest.param("/api/embed", {"options": {"num_ctx": 6}, "max_tokens": 100}, id="the-smaller-one"),
    ],
)
def test_a_lower_limit_cuts(client: httpx.Client, minilm: Model, path: str, fields: dict[str, Any]) -> None:
    """The first tokens between the special ones, as of a text that has no more."""
    (tokens,) = client.post("/tokenize", json={"input": TEXT, "max_tokens": 6}).json()["data"]

    answer = client.post(path, json=ROUTES[path] | fields)

    assert (6, True) == (tokens["num_tokens"], tokens["truncated"])
    assert np.array_equal(minilm.encode([tokens["ids"]]), vectors(answer))
    assert np.array_equal(minilm.encode(["a text of some"]), vectors(answer))


def test_a_higher_limit_is_the_models(client: httpx.Client, minilm: Model) -> None:
    """Ollama's clients send 4,096 by habit."""
    long = "word " * 400
    request = {"model": MINILM, "input": long, "options": {"num_ctx": 4096}}

    assert np.array_equal(minilm.encode([long]), vectors(client.post("/api/embed", json=request)))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        pytest.param(
            {"max_tokens": 2}, "max_tokens is 2, and this model puts 2 special tokens", id="no-room"
        ),
        pytest.param({"max_tokens": 0}, "Expected `int` >= 1", id="none"),
        pytest.param(
            {"max_length": 6, "truncate": False}, "16 tokens, and max_tokens is 6; shorten", id="uncut"
        ),
        pytest.param(
            {"truncate": "END", "truncation_side": "left"}, "which is the other side", id="two-sides"
        ),
        pytest.param(
            {"pooling": "cls"}, "pooling is 'cls', and all-MiniLM-L6-v2 pools by mean", id="pooling"
        ),
        pytest.param({"truncate": "MIDDLE"}, "it is one of true, false, END, NONE, START", id="word"),
        pytest.param({"encoding_format": "hex"}, "it is one of base64, float", id="encoding-format"),
        pytest.param({"input_type": "image"}, "search_query", id="input-type"),
    ],
)
def test_what_the_model_cannot_do(client: httpx.Client, fields: dict[str, Any], sentence: str) -> None:
    answer = client.post("/v1/embeddings", json={"input": TEXT} | fields)

    assert 400 == answer.status_code
    assert sentence in message(answer)


def test_the_models_own_pooling_passes(client: httpx.Client) -> None:
    for word in ("mean", "MEAN", "mean_tokens", "average"):
        assert 200 == client.post("/v1/embeddings", json={"input": TEXT, "pooling": word}).status_code


@pytest.mark.parametrize("word", ["START", "start"])
def test_a_beginning_that_is_cut(client: httpx.Client, minilm: Model, word: str) -> None:
    """The last tokens, between the special ones; so do TEI's direction and vLLM's side."""
    text = "first " * 300 + "the end of it"
    expected = minilm.encode(["first " * 250 + "the end of it"])

    ours = client.post("/v1/embeddings", json={"input": text, "truncate": word})
    theirs = client.post("/embed", json={"inputs": text, "truncation_direction": "Left"})
    side = client.post("/v1/embeddings", json={"input": text, "truncation_side": "left"})

    assert np.array_equal(expected, vectors(ours))
    assert np.array_equal(expected, vectors(theirs))
    assert np.array_equal(expected, vectors(side))
    assert True is ours.json()["data"][0]["truncated"]


def test_words_for_truncate(client: httpx.Client, minilm: Model) -> None:
    """END is true and NONE is false, in any case; whatever the server's default is."""
    long = "word " * 400
    for word in ("END", "end"):
        cut = client.post("/v1/embeddings", json={"input": long, "truncate": word})
        assert np.array_equal(minilm.encode([long]), vectors(cut))
    for word in ("NONE", "None"):
        refused = client.post("/v1/embeddings", json={"input": long, "truncate": word})
        assert "context_length_exceeded" == refused.json()["error"]["code"]


@pytest.mark.parametrize(
    ("word", "prompt"),
    [
        *(("query", "query"), ("Query", "query"), ("search_query", "query")),
        *(("document", "document"), ("passage", "document"), ("PASSAGE", "document")),
    ],
)
def test_words_for_input_type(client: httpx.Client, small: Model, word: str, prompt: str) -> None:
    """Those of Cohere, Voyage and NVIDIA find the same prompts."""
    answer = client.post("/v1/embeddings", json={"input": TEXT, "model": SMALL, "input_type": word})

    assert np.array_equal(small.encode([TEXT], prompt_name=prompt), vectors(answer))
