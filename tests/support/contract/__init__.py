"""The contract of HTTP, which every server of this program keeps, wherever it runs: a class of tests a file.

A module of tests subclasses each of them, and has fixtures for the server that they ask: ``server``, with its
``url``, and ``client``, an ``httpx.Client`` with that as its base. The expected vectors are those of the same
artifacts in the process of the tests.
"""

from typing import Any

import httpx


def post(client: httpx.Client, path: str = "/v1/embeddings", **body: Any) -> httpx.Response:
    return client.post(path, json=body)


def error(response: httpx.Response) -> dict[str, Any]:
    """The error of an answer, which must have all four keys and nothing else."""
    body = response.json()

    assert ["error"] == list(body)
    assert {"message", "type", "param", "code"} == set(body["error"])
    assert response.headers["x-request-id"]
    return body["error"]
