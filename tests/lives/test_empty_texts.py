"""``--empty-texts``: refused by default, or a vector of zeros in its place, for those that migrate."""

from collections.abc import Callable

import httpx
import numpy as np
import pytest
from harness import MINILM, Server, embed

from embed_onnx import Model


def test_refused_by_default(client: httpx.Client) -> None:
    for value in ("", ["a", ""], [[]]):
        answer = client.post("/v1/embeddings", json={"input": value})
        assert (400, "input") == (answer.status_code, answer.json()["error"]["param"])


def test_zeros_in_their_places(serve: Callable[..., Server], minilm: Model) -> None:
    """The other vectors keep their bits; TEI's and Ollama's routes embed the special tokens, as before."""
    server = serve("--empty-texts", "zero")
    texts = ["", "a text", "", "another", ""]
    expected = np.zeros((5, 384), np.float32)
    expected[[1, 3]] = minilm.encode(["a text", "another"])

    answer = embed(server.url, texts)

    items = answer.json()["data"]
    assert np.array_equal(expected, np.array([item["embedding"] for item in items], np.float32))
    counts = [item["num_tokens"] for item in items]
    assert [0, 4, 0, 3, 0] == counts
    assert 7 == answer.json()["usage"]["total_tokens"]
    theirs = httpx.post(f"{server.url}/embed", json={"inputs": texts}).json()
    assert np.array_equal(minilm.encode(texts), np.array(theirs, np.float32))
    ollama = httpx.post(f"{server.url}/api/embed", json={"model": MINILM, "input": texts}).json()
    assert np.array_equal(minilm.encode(texts), np.array(ollama["embeddings"], np.float32))


@pytest.mark.parametrize(
    "fields",
    [
        {"input": ""},
        {"input": ["", ""], "dimensions": 7},
        {"input": "", "normalize": False},
        {"input": [[]]},
        {"input": "", "prompt": "about: "},
    ],
)
def test_nothing_but_empty(serve: Callable[..., Server], fields: dict[str, object]) -> None:
    server = serve("--empty-texts", "zero")

    answer = httpx.post(f"{server.url}/v1/embeddings", json=fields)

    assert 200 == answer.status_code, answer.text
    for item in answer.json()["data"]:
        assert (0, {0.0}) == (item["num_tokens"], set(item["embedding"]))
    assert "queue;dur=0.000" in answer.headers["server-timing"]
    assert 400 == embed(server.url, []).status_code
