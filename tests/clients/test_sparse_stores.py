"""Sparse vectors in databases, as in docs/sparse.md: each finds what has the largest product with the query.

Qdrant and Milvus run in their clients. Elasticsearch's and OpenSearch's clients talk to a server of the
tests, which refuses the vectors that these refuse.
"""

from pathlib import Path

import client_programs
import pytest
from client_programs import SNIPPET_TEXTS
from harness import SPARSE, WEB, Server
from search_engine import SearchEngine, running

from embed_onnx import Model

QUERY = "interest rates"
OURS, ELASTIC = "http://127.0.0.1:8000", "http://127.0.0.1:9200"
"""Addresses in the document."""
OPENSEARCH = """
from opensearchpy import OpenSearch

search = OpenSearch(ELASTIC)
fields = {"vector": {"type": "rank_features"}}
search.indices.create(index="texts", body={"mappings": {"properties": fields}})
for number, (vector, text) in enumerate(zip(embed(texts, "document"), texts)):
    search.index(index="texts", id=str(number), body={"text": text, "vector": vector})
(query,) = embed(["interest rates"], "query")
body = {"query": {"neural_sparse": {"vector": {"query_tokens": query}}}, "size": 1}
print(search.search(index="texts", body=body)["hits"]["hits"][0]["_source"]["text"])
"""
"""In the place of what the document does with Elasticsearch."""


def vectors(server: Server, texts: list[str], side: str) -> list[dict[int, float]]:
    """The weights of texts by index."""
    fields = {"input": texts, "prompt_name": side}
    data = WEB.post(f"{server.url}/v1/sparse_embeddings", json=fields).json()["data"]
    return [dict(zip(item["indices"], item["values"], strict=True)) for item in data]


def best(server: Server) -> str:
    """The text with the largest product, whatever the model's random weights say, and a line end."""
    (query,) = vectors(server, [QUERY], "query")
    documents = vectors(server, SNIPPET_TEXTS, "document")
    products = [sum(query[index] * document.get(index, 0) for index in query) for document in documents]
    assert max(products) > 0
    return f"{SNIPPET_TEXTS[products.index(max(products))]}\n"


def program(package: str, server: Server) -> str:
    (code,) = client_programs.snippets("docs/sparse.md", package)
    return code.replace(OURS, server.url)


@pytest.mark.parametrize(("package", "environment"), [("qdrant_client", "qdrant"), ("pymilvus", "milvus")])
def test_in_the_client(sparse_server: Server, tmp_path: Path, package: str, environment: str) -> None:
    code = program(package, sparse_server)

    assert best(sparse_server) == client_programs.python(environment, ["-c", code], tmp_path)


@pytest.mark.parametrize("name", ["elasticsearch", "opensearch"])
def test_over_http(sparse_server: Server, tmp_path: Path, name: str) -> None:
    code, engine = program("elasticsearch", sparse_server), SearchEngine()
    if name == "opensearch":
        head, _, _ = code.partition("search = ")
        code = head.replace("from elasticsearch import Elasticsearch\n", "") + OPENSEARCH.replace(
            "ELASTIC", repr(ELASTIC)
        )

    with running(engine) as address:
        output = client_programs.python("elasticsearch", ["-c", code.replace(ELASTIC, address)], tmp_path)

    assert best(sparse_server) == output
    expected = vectors(sparse_server, SNIPPET_TEXTS, "document")
    stored = [{int(name): weight for name, weight in each["vector"].items()} for each in engine.documents]
    assert expected == stored


def test_a_name_with_a_dot_is_refused() -> None:
    """As these engines do: the server of the tests would not take terms as they are."""
    engine = SearchEngine()

    assert 400 == engine.answer("PUT", "/texts/_doc/0", {"vector": {".": 0.5}})[0]
    assert 400 == engine.answer("PUT", "/texts/_doc/0", {"vector": {"7": 0.0}})[0]
    assert 201 == engine.answer("PUT", "/texts/_doc/0", {"vector": {"7": 0.5}})[0]


def test_in_a_program(sparse_server: Server, sparse_home: Path) -> None:
    """The document's line for rows of ``encode_sparse`` gives the same."""
    with Model.load(sparse_home / "artifacts" / SPARSE, threads=1) as model:
        rows = model.encode_sparse(SNIPPET_TEXTS, prompt_name="document")
        maps = [dict(zip(row.indices.tolist(), row.weights.tolist(), strict=True)) for row in rows]

    assert vectors(sparse_server, SNIPPET_TEXTS, "document") == maps
