"""Ollama's lists of models, of servers that ask for a key or unload their models."""

from collections.abc import Callable, Iterator

import ollama
import pytest
from harness import MINILM, SMALL, WEB, Server


@pytest.fixture
def theirs(server: Server) -> Iterator[ollama.Client]:
    with ollama.Client(server.url) as opened:
        yield opened


def test_what_is_in_memory(theirs: ollama.Client, serve: Callable[..., Server]) -> None:
    """All that is served and, where models leave the memory, when they do."""
    stays = theirs.ps().models
    with ollama.Client(serve("--idle-unload", "3600").url) as client:
        leaves = client.ps().models

    assert [f"{MINILM}:latest", f"{SMALL}:latest"] == [model.model for model in stays]
    assert [256, 48] == [model.context_length for model in stays]
    assert all(model.size > 0 == model.size_vram for model in stays)
    seconds = [(model.expires_at - other.expires_at).days for model, other in zip(stays, leaves, strict=True)]
    assert min(seconds) > 365


def test_a_key_is_asked_for(serve: Callable[..., Server]) -> None:
    server = serve("--api-keys", "secret")
    refused = [
        WEB.get(f"{server.url}/api/tags"),
        WEB.get(f"{server.url}/api/ps"),
        WEB.head(f"{server.url}/api/ps"),
        WEB.post(f"{server.url}/api/show", json={"model": SMALL}),
        WEB.post(f"{server.url}/api/pull", json={"model": SMALL}),
    ]

    assert [401] * 5 == [answer.status_code for answer in refused]
    with ollama.Client(server.url, headers={"Authorization": "Bearer secret"}) as client:
        assert "success" == client.pull(SMALL).status
