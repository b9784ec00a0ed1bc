"""``long_texts`` over HTTP: what an item says of its windows, and where the field is refused."""

from typing import Any

import httpx
import numpy as np
import pytest
from harness import SMALL

from embed_onnx import Model

LONG = "a river and a stone below the window of an old house " * 60


def items(answer: httpx.Response) -> list[dict[str, Any]]:
    assert 200 == answer.status_code, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


def test_an_item_says_how_many_windows_it_has(client: httpx.Client, minilm: Model) -> None:
    """One is left out, nothing is cut, and the tokens are those that were computed."""
    answer = client.post("/v1/embeddings", json={"input": ["short", LONG], "long_texts": "mean"})

    short, long = items(answer)
    assert np.array_equal(minilm.encode([LONG], long_texts="mean")[0], np.float32(long["embedding"]))
    assert (None, 3) == (short.get("windows"), long["windows"])
    assert "truncated" not in long
    assert long["num_tokens"] > 600
    assert answer.json()["usage"]["total_tokens"] == short["num_tokens"] + long["num_tokens"]


@pytest.mark.parametrize("fields", [{}, {"long_texts": "cut"}, {"long_texts": "Cut"}, {"long_texts": None}])
def test_otherwise_it_is_cut(client: httpx.Client, minilm: Model, fields: dict[str, Any]) -> None:
    (item,) = items(client.post("/v1/embeddings", json={"input": LONG, **fields}))

    assert np.array_equal(minilm.encode([LONG])[0], np.float32(item["embedding"]))
    assert (True, None) == (item["truncated"], item.get("windows"))


def test_other_wires_have_it(client: httpx.Client, minilm: Model) -> None:
    expected = minilm.encode([LONG], long_texts="mean", normalize=True)[0]

    tei = client.post("/embed", json={"inputs": LONG, "long_texts": "mean"})
    nested = client.post("/embed", json={"inputs": LONG, "parameters": {"long_texts": "mean"}})

    assert np.array_equal(expected, np.float32(tei.json()[0]))
    assert tei.json() == nested.json()


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"truncate": True}, "truncate is true"),
        ({"truncate": False}, "truncate is false"),
        ({"truncate": "START"}, 'truncate is "START"'),
        ({"truncation_direction": "Left"}, 'truncation_direction is "Left"'),
        ({"truncate_prompt_tokens": 40}, "truncate is true"),
    ],
)
def test_a_request_has_one_answer_to_long_texts(
    client: httpx.Client, fields: dict[str, Any], word: str
) -> None:
    answer = client.post("/v1/embeddings", json={"input": "x", "long_texts": "mean", **fields})

    error = answer.json()["error"]
    assert (400, "long_texts") == (answer.status_code, error["param"])
    assert word in error["message"]


def test_a_cut_is_where_the_request_says(client: httpx.Client, minilm: Model) -> None:
    fields = {"input": LONG + "the end", "long_texts": "cut", "truncate": "START"}
    (item,) = items(client.post("/v1/embeddings", json=fields))

    assert "windows" not in item
    assert not np.array_equal(minilm.encode([LONG])[0], np.float32(item["embedding"]))


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/tokenize", {"input": LONG}),
        ("/embed_sparse", {"inputs": "a"}),
        ("/v1/sparse_embeddings", {"input": "a"}),
        ("/v1/rerank", {"query": "a", "documents": ["b"]}),
        ("/rerank", {"query": "a", "texts": ["b"]}),
        ("/v1/score", {"text_1": "a", "text_2": "b"}),
        ("/classify", {"input": "a"}),
        ("/predict", {"inputs": "a"}),
    ],
)
def test_elsewhere_it_is_refused_by_name(scorer: httpx.Client, path: str, fields: dict[str, Any]) -> None:
    answer = scorer.post(path, json={**fields, "long_texts": "mean"})

    assert answer.status_code in (400, 422)
    assert "long_texts" in answer.text


def test_a_value_of_no_meaning(client: httpx.Client) -> None:
    answer = client.post("/v1/embeddings", json={"input": "x", "model": SMALL, "long_texts": "max"})

    assert (400, "long_texts") == (answer.status_code, answer.json()["error"]["param"])
    assert "it is one of cut, mean" in answer.json()["error"]["message"]
