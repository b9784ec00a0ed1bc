"""As much of Elasticsearch's and OpenSearch's API as their clients need to keep sparse vectors and find them.

It refuses what both refuse: a vector is an object, of names without a dot and of weights above zero.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import numpy as np

Weights = dict[str, float]
TYPES = ("sparse_vector", "rank_features")
FIELD = "vector"


class SearchEngine:
    """An index of documents with a field of sparse vectors."""

    def __init__(self) -> None:
        self.documents: list[dict[str, Any]] = []
        self._type = ""

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """The status and body of an answer."""
        place = path.partition("?")[0].split("/")[2:]
        try:
            match [method, *place]:
                case ["PUT"]:
                    self._type = body["mappings"]["properties"][FIELD]["type"]
                    return (200, {}) if self._type in TYPES else (400, {"error": "no such type"})
                case ["PUT", "_doc", _]:
                    _check(body[FIELD])
                    self.documents.append(body)
                    return 201, {"result": "created"}
                case ["POST", "_search"]:
                    return 200, {"hits": {"hits": self._hits(self._query(body["query"]), body["size"])}}
                case ["POST", "_refresh"]:
                    return 200, {}
        except (KeyError, ValueError) as err:
            return 400, {"error": repr(err)}
        return 404, {"error": f"{method} {path}"}

    def _query(self, query: dict[str, Any]) -> Weights:
        """The vector of a query, which is in another place for each type of field."""
        if self._type == "sparse_vector":
            request = query["sparse_vector"]
            return _check({FIELD: request["query_vector"]}[request["field"]])
        return _check(query["neural_sparse"][FIELD]["query_tokens"])

    def _hits(self, query: Weights, size: int) -> list[dict[str, Any]]:
        """The documents with the largest products, and the products."""
        hits = [
            {"_source": document, "_score": sum(query[name] * document[FIELD].get(name, 0) for name in query)}
            for document in self.documents
        ]
        return sorted(hits, key=lambda hit: -hit["_score"])[:size]


def _check(weights: Weights) -> Weights:
    for name, weight in weights.items():
        if "." in name or not np.finfo(np.float32).tiny <= weight < np.inf:
            raise ValueError(f"{name!r}: {weight}")
    return weights


@contextmanager
def running(engine: SearchEngine) -> Iterator[str]:
    """Serve it; its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
            status, answer = engine.answer(self.command, self.path, body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("X-Elastic-Product", "Elasticsearch")  # its client answers to no other
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_PUT = do_POST = _answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
