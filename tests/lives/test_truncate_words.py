"""A server that refuses to cut, and requests that want it in other APIs' words."""

from collections.abc import Callable

import httpx
import numpy as np
from harness import Server

from embed_onnx import Model

TEXT = "a text of some words, of which there are more than a few"


def vectors(answer: httpx.Response) -> np.ndarray:
    """The vectors of an answer, on whichever route."""
    assert 200 == answer.status_code, answer.text
    sent = answer.json()
    if isinstance(sent, dict):
        sent = sent.get("embeddings") or sent.get("data") or [sent["embedding"]]
    return np.array([item["embedding"] if isinstance(item, dict) else item for item in sent], np.float32)


def test_a_cut_that_is_asked_for_where_the_server_refuses(
    serve: Callable[..., Server], minilm: Model
) -> None:
    server = serve("--no-truncate")

    cut = httpx.post(f"{server.url}/v1/embeddings", json={"input": TEXT, "truncate_prompt_tokens": 6})
    refused = httpx.post(f"{server.url}/v1/embeddings", json={"input": TEXT, "max_tokens": 6})

    assert np.array_equal(minilm.encode(["a text of some"]), vectors(cut))
    assert 400 == refused.status_code
