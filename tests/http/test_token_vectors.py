"""Token vectors over HTTP, on every wire that has them, with the same bits as in this process."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from harness import COLBERT, SMALL, Server, numbered

from embed_onnx import Model

PATH = "/v1/token_embeddings"
TEXTS = ["a few words", "stand beside letters", "12", "and some more words, commas and dots.", "12"]


@pytest.fixture(scope="module")
def client(tokens_server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=tokens_server.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def model(tokens_home: Path) -> Iterator[Model]:
    with Model.load(tokens_home / "artifacts" / COLBERT, threads=1) as model:
        yield model


def arrays(items: list[dict[str, Any]]) -> list[np.ndarray]:
    """The vectors of an answer, as it says their shapes and types; JSON has the digits of a float32."""
    return [
        np.frombuffer(base64.b64decode(item["embeddings"]), item["dtype"]).reshape(item["shape"])
        if isinstance(item["embeddings"], str)
        else np.array(item["embeddings"], item["dtype"]).reshape(item["shape"])
        for item in items
    ]


def assert_same(actual: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for array, other in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(array, other)


@pytest.mark.parametrize("encoding", ["float", "base64"])
@pytest.mark.parametrize("dtype", ["float", "float32", "float16"])
def test_token_vectors(client: httpx.Client, model: Model, encoding: str, dtype: str) -> None:
    """Without a model, of the first one that makes them."""
    fields = {"input": TEXTS, "encoding_format": encoding, "output_dtype": dtype}

    answer = client.post(PATH, json=fields)

    body = answer.json()
    numbers = np.float16 if dtype == "float16" else np.float32
    assert_same(arrays(body["data"]), [array.astype(numbers) for array in model.encode_tokens(TEXTS)])
    assert COLBERT == body["model"]
    assert body["usage"]["prompt_tokens"] == sum(each["num_tokens"] for each in body["data"])
    assert [0, 1, 2, 3, 4] == [each["index"] for each in body["data"]]
    assert answer.headers["server-timing"].startswith("tokenize;dur=")


@pytest.mark.parametrize("role", [{"prompt_name": "query"}, {"input_type": "query"}])
def test_queries(client: httpx.Client, model: Model, role: dict[str, str]) -> None:
    body = client.post(PATH, json={"input": TEXTS, "model": "colbertv2.0", **role}).json()

    assert_same(arrays(body["data"]), model.encode_tokens(TEXTS, prompt_name="query"))


def test_tokens_of_the_vectors(client: httpx.Client) -> None:
    """An entry each, without those that have no vector; of a query, the last ones are its expansion."""
    for role, skipped in (("query", set()), ("document", {",", "."})):
        fields = {"input": TEXTS[3:], "model": COLBERT, "prompt_name": role}
        items = client.post(PATH, json={**fields, "return_tokens": True}).json()["data"]
        read = client.post("/tokenize", json=fields).json()["data"]

        for item, all_of_it in zip(items, read, strict=True):
            assert [word for word in all_of_it["tokens"] if word not in skipped] == item["tokens"]
            assert item["shape"][0] == len(item["tokens"])
            assert item["tokens"].count("[MASK]") == item["expansion"]
        assert (role == "query") == (items[-1]["expansion"] > 0)
    assert "tokens" not in client.post(PATH, json={"input": "12"}).json()["data"][0]


def test_a_text_that_is_cut_says_so(client: httpx.Client) -> None:
    long = client.post(PATH, json={"input": ["word " * 100, "word"]}).json()["data"]

    assert [True, None] == [each.get("truncated") for each in long]
    assert 400 == client.post(PATH, json={"input": "word " * 100, "truncate": False}).status_code


def test_the_wire_of_text_embeddings_inference(client: httpx.Client, model: Model) -> None:
    answer = client.post("/embed_all", json={"inputs": TEXTS, "truncate": True})

    assert_same([np.array(rows, np.float32) for rows in answer.json()], model.encode_tokens(TEXTS))
    assert "x-compute-tokens" in answer.headers
    assert 422 == client.post("/embed_all", json={"inputs": []}).status_code


@pytest.mark.parametrize("path", ["/pooling", "/v1/pooling"])
def test_the_wire_of_vllm(client: httpx.Client, model: Model, path: str) -> None:
    body = client.post(path, json={"model": COLBERT, "input": TEXTS, "task": "token_embed"}).json()

    assert_same([np.array(item["data"], np.float32) for item in body["data"]], model.encode_tokens(TEXTS))
    fields = {"input": TEXTS[0], "encoding_format": "base64"}
    (item,) = client.post(path, json=fields).json()["data"]
    (expected,) = model.encode_tokens(TEXTS[0])
    assert expected.tobytes() == base64.b64decode(item["data"])
    assert 400 == client.post(path, json={"input": TEXTS, "task": "classify"}).status_code


def test_ranks_on_every_wire(client: httpx.Client, model: Model) -> None:
    """Scores are sums of maxima, with raw_scores and without."""
    ranked = model.rank("few words", TEXTS)
    expected = [(item.index, item.score) for item in ranked]
    fields = {"query": "few words", "documents": TEXTS}
    for path in ("/v1/rerank", "/v2/rerank", "/rerank"):
        for raw in (False, True):
            results = client.post(path, json={**fields, "raw_scores": raw}).json()["results"]
            assert expected == [(item["index"], np.float32(item["relevance_score"])) for item in results]
    texts = client.post("/rerank", json={"query": "few words", "texts": TEXTS}).json()
    assert expected == [(item["index"], np.float32(item["score"])) for item in texts]
    scores = client.post("/score", json={"text_1": "few words", "text_2": TEXTS}).json()["data"]
    assert dict(expected) == {item["index"]: np.float32(item["score"]) for item in scores}


def test_a_query_that_is_too_long(client: httpx.Client) -> None:
    fields = {"query": "word " * 100, "documents": ["12"], "truncate": False}

    error = client.post("/v1/rerank", json=fields).json()["error"]

    assert error["message"].startswith("query has at least")
    assert "query" == error["param"]


def test_under_load(client: httpx.Client, model: Model) -> None:
    """Requests of many clients at once, each with its texts in other company."""
    texts = numbered("words, and some more", 24)
    expected = model.encode_tokens(texts)
    queries = model.encode_tokens(texts, prompt_name="query")

    def one(number: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        part = slice(number % 20, number % 20 + 4)
        documents, of_queries = (
            client.post(PATH, json={"input": texts[part], "prompt_name": name, "encoding_format": "base64"})
            for name in ("document", "query")
        )
        assert_same(arrays(documents.json()["data"]), expected[part])
        assert_same(arrays(of_queries.json()["data"]), queries[part])
        return expected[part], queries[part]

    with ThreadPoolExecutor(8) as clients:
        assert 40 == len(list(clients.map(one, range(40))))


def test_other_routes_and_models(client: httpx.Client) -> None:
    for path, field, name in (
        ("/v1/embeddings", "input", COLBERT),
        (PATH, "input", SMALL),
        ("/pooling", "input", SMALL),
    ):
        error = client.post(path, json={field: "text", "model": name})
        assert (400, "task_not_supported") == (error.status_code, error.json()["error"]["code"])
    assert 422 == client.post("/embed_all", json={"inputs": "text", "model": SMALL}).status_code


@pytest.mark.parametrize("path", [PATH, "/embed_all", "/pooling"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dimensions", 8),
        ("normalize", True),
        ("max_active_dims", 8),
        ("return_terms", True),
        ("endianness", "big"),
    ],
)
def test_what_other_vectors_alone_have_is_refused(
    client: httpx.Client, path: str, field: str, value: object
) -> None:
    """And not ignored: who sends it expects another answer."""
    texts = "inputs" if path == "/embed_all" else "input"

    answer = client.post(path, json={texts: "text", field: value})

    assert (422 if path == "/embed_all" else 400) == answer.status_code
    assert f"{field} is " in answer.text


def test_what_is_served(client: httpx.Client) -> None:
    card = client.get(f"/v1/models/{COLBERT}").json()

    assert (["embed_tokens", "rerank"], 16, []) == (card["tasks"], card["dimensions"], card["pooling"])
    assert "maxsim" == card["similarity"]
    assert card["token_parity"]["cosine_mean"] > 0.99
    assert 200 == client.get("/info", params={"model": COLBERT}).status_code
    tokens = client.post("/tokenize", json={"input": "12", "model": COLBERT, "prompt_name": "query"}).json()
    assert 16 == len(tokens["data"][0]["tokens"])
