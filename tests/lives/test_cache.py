"""A server that keeps results: what its answers, its metrics and its log say of that."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
from harness import WEB, Server, embed, figure, metrics

from embed_onnx.http import keys

TEXTS = ["a text", "another text", "a text"]


def timing(answer: httpx.Response) -> str:
    """The part of the header that says how many results were kept ones."""
    assert answer.status_code == 200, answer.text
    return answer.headers["server-timing"].partition(", cache;")[2]


def test_hits_are_in_the_header_the_log_and_the_metrics(serve: Callable[..., Server]) -> None:
    server = serve("--cache-bytes", "1000000", "--log-format", "json")

    first, second = (embed(server.url, TEXTS) for _ in range(2))
    mixed = embed(server.url, ["new", "a text"], dimensions=8)

    assert ["", "desc=3", "desc=1"] == [timing(answer) for answer in (first, second, mixed)]
    assert first.json()["data"] == second.json()["data"]
    assert first.json()["usage"] == second.json()["usage"]
    page = metrics(server.url)
    assert 4 == figure(page, "embed_onnx_cached_results_total")
    assert 0 < figure(page, "embed_onnx_cache_bytes") <= 1_000_000
    lines = [json.loads(line) for line in server.stop().splitlines() if "/v1/embeddings" in line]
    assert [None, 3, 1] == [line.get("cached") for line in lines]


def test_without_a_cache_nothing_is_said_of_one(client: httpx.Client) -> None:
    answers = [client.post("/v1/embeddings", json={"input": TEXTS}) for _ in range(2)]

    assert ["", ""] == [timing(answer) for answer in answers]


def test_keys_have_their_own_results(key_file: Path, serve: Callable[..., Server]) -> None:
    """How fast an answer comes says nothing of what other keys have sent, unless they share."""
    headers = [{"authorization": f"Bearer {keys.add(key_file, name)}"} for name in ("alice", "bob")]
    for shared, expected in (((), ["", "", "desc=1"]), (("--shared-cache",), ["", "desc=1", "desc=1"])):
        server = serve("--cache-bytes", "1000000", "--api-keys-file", str(key_file), *shared)
        answers = [
            WEB.post(f"{server.url}/v1/embeddings", json={"input": "a plan"}, headers=header)
            for header in (*headers, headers[0])
        ]
        assert expected == [timing(answer) for answer in answers]
        server.stop()
