"""A server with ``--long-texts mean``: the default of requests that say nothing of long texts."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from harness import Server, embed

from embed_onnx import Model

LONG = "a river and a stone below the window of an old house " * 60


def test_the_servers_default(serve: Callable[..., Server], minilm: Model) -> None:
    """A request's own words come before it."""
    server = serve("--long-texts", "mean", "--no-truncate")
    cut: list[dict[str, Any]] = [{"truncate": True}, {"truncate": "END"}]

    (whole,) = embed(server.url, LONG).json()["data"]
    others = [embed(server.url, LONG, **fields).json()["data"][0] for fields in cut]
    refused = [embed(server.url, LONG, **fields) for fields in ({"long_texts": "cut"}, {"truncate": False})]

    assert 3 == whole["windows"]
    assert np.array_equal(minilm.encode([LONG], long_texts="mean")[0], np.float32(whole["embedding"]))
    for other in others:
        assert np.array_equal(minilm.encode([LONG])[0], np.float32(other["embedding"]))
    assert ["context_length_exceeded"] * 2 == [answer.json()["error"]["code"] for answer in refused]


@pytest.mark.parametrize(("tokens", "status"), [("600", 400), ("800", 200)])
def test_windows_fill_the_queue(serve: Callable[..., Server], tokens: str, status: int) -> None:
    server = serve("--queue-tokens", tokens)

    answer = embed(server.url, "river " * 700, long_texts="mean")

    assert status == answer.status_code
    if status == 400:
        assert "input[0] has 706 tokens in 3 windows" in answer.json()["error"]["message"]
