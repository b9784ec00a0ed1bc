"""Sparse vectors over HTTP, on both wires, with the same bits as in this process."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from harness import SMALL, SPARSE, Server

from embed_onnx import Model
from embed_onnx.models.sparse import SparseRows

PATH = "/v1/sparse_embeddings"
TEXTS = ["a few words", "stand beside letters", "12", "and some more words, commas and dots", "12"]


@pytest.fixture(scope="module")
def client(sparse_server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sparse_server.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def model(sparse_home: Path) -> Iterator[Model]:
    with Model.load(sparse_home / "artifacts" / SPARSE, threads=1) as model:
        yield model


def rows(body: dict[str, Any]) -> list[tuple[list[int], list[np.float32]]]:
    """Indices and weights; JSON has the digits that a float32 needs."""
    return [(each["indices"], list(map(np.float32, each["values"]))) for each in body["data"]]


def expected(sparse: SparseRows) -> list[tuple[list[int], list[np.float32]]]:
    return [(row.indices.tolist(), list(row.weights)) for row in sparse]


def test_sparse_vectors(client: httpx.Client, model: Model) -> None:
    """Without a model, of the first one that makes them."""
    answer = client.post(PATH, json={"input": TEXTS})

    body = answer.json()
    assert expected(model.encode_sparse(TEXTS)) == rows(body)
    assert (SPARSE, model.manifest.sparse.entries) == (body["model"], body["entries"])
    assert body["usage"]["prompt_tokens"] == sum(each["num_tokens"] for each in body["data"])
    assert {"object", "index", "indices", "values", "num_tokens"} == body["data"][0].keys()
    assert [0, 1, 2, 3, 4] == [each["index"] for each in body["data"]]
    assert answer.headers["server-timing"].startswith("tokenize;dur=")


def test_options(client: httpx.Client, model: Model) -> None:
    fields = {"input": TEXTS[0], "model": "splade-v3", "prompt_name": "query"}

    body = client.post(PATH, json=fields | {"max_active_dims": 3, "return_terms": True}).json()

    sparse = model.encode_sparse(TEXTS[0], prompt_name="query", max_active_dims=3)
    assert expected(sparse) == rows(body)
    assert model.terms(body["data"][0]["indices"]) == body["data"][0]["terms"]
    assert rows(body) != rows(client.post(PATH, json=fields | {"prompt_name": "document"}).json())


def test_a_text_that_is_cut_says_so(client: httpx.Client) -> None:
    long = client.post(PATH, json={"input": ["word " * 100, "word"]}).json()["data"]

    assert [True, None] == [each.get("truncated") for each in long]
    assert 400 == client.post(PATH, json={"input": "word " * 100, "truncate": False}).status_code


def test_the_wire_of_text_embeddings_inference(client: httpx.Client, model: Model) -> None:
    answer = client.post("/embed_sparse", json={"inputs": TEXTS, "prompt_name": "document"})

    pairs = [[(each["index"], np.float32(each["value"])) for each in row] for row in answer.json()]
    sparse = model.encode_sparse(TEXTS, prompt_name="document")
    assert pairs == [list(zip(*row, strict=True)) for row in expected(sparse)]
    assert int(answer.headers["x-compute-tokens"]) > len(TEXTS)
    one = client.post("/embed_sparse", json={"inputs": TEXTS[0]}).json()
    assert 1 == len(one)


def test_bits_do_not_depend_on_load(client: httpx.Client, model: Model) -> None:
    alone = [expected(model.encode_sparse(text))[0] for text in TEXTS]
    many = TEXTS * 20

    with ThreadPoolExecutor(8) as pool:
        bodies = pool.map(lambda _: client.post(PATH, json={"input": many}).json(), range(8))

    assert all(rows(body) == alone * 20 for body in bodies)


@pytest.mark.parametrize(
    ("path", "fields", "sentence"),
    [
        (PATH, {"model": SMALL}, f"{SMALL} is a model for embed and does not embed_sparse"),
        ("/v1/embeddings", {"model": SPARSE}, f"{SPARSE} is a model for embed_sparse and does not embed"),
        (PATH, {"max_active_dims": 0}, "max_active_dims"),
        (PATH, {"prompt_name": "nothing"}, "nothing"),
        (PATH, {"input": []}, "input is an empty list"),
    ],
)
def test_what_is_refused(client: httpx.Client, path: str, fields: dict[str, Any], sentence: str) -> None:
    answer = client.post(path, json={"input": "text", **fields})

    assert 400 == answer.status_code
    assert sentence in answer.json()["error"]["message"]


def test_refusals_of_text_embeddings_inference(client: httpx.Client) -> None:
    answer = client.post("/embed_sparse", json={"inputs": "text", "model": SMALL})

    assert (422, "Validation") == (answer.status_code, answer.json()["error_type"])


def test_the_list_of_models(client: httpx.Client, model: Model) -> None:
    card = client.get(f"/v1/models/{SPARSE}").json()

    assert (["embed_sparse"], None, ["max"]) == (card["tasks"], card["dimensions"], card["pooling"])
    assert model.manifest.sparse.entries == card["entries"]
    assert card["sparse_parity"]["cosine_mean"] > 0.99
    assert client.get("/ready").is_success


@pytest.mark.parametrize("path", [PATH, "/embed_sparse"])
@pytest.mark.parametrize(
    "field", ["dimensions", "output_dimension", "normalize", "pooling", "output_dtype", "encoding_format"]
)
def test_what_dense_vectors_alone_have_is_refused(client: httpx.Client, path: str, field: str) -> None:
    """And not ignored: who sends it expects another vector."""
    values = {"normalize": True, "pooling": "mean", "output_dtype": "float16", "encoding_format": "base64"}
    value = values.get(field, 9)
    texts = "input" if path == PATH else "inputs"

    answer = client.post(path, json={texts: "text", field: value})

    assert answer.status_code in {400, 422}
    assert field in answer.text
