"""What proxies send besides, and what they look for."""

from typing import Any

import httpx
import pytest
from harness import MINILM

BODY = {"input": "Hello", "model": MINILM}


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embed", "/api/embed", "/v2/embed", "/v1/embed"])
def test_users_of_a_proxy_change_nothing(client: httpx.Client, path: str) -> None:
    """Neither headers with names of users nor fields about them change an answer."""
    plain = {"model": MINILM, "input_type": "search_query"}
    plain |= {{"/embed": "inputs", "/v1/embed": "texts", "/v2/embed": "texts"}.get(path, "input"): ["Hello"]}
    headers = {f"x-openwebui-user-{name}": "Zoë".encode() for name in ("name", "id", "email", "role")}
    fields = {
        "user": "me",
        "safety_identifier": "me",
        "metadata": {"user_id": "me"},
        "tags": ["a"],
        "provider": {"order": ["x"], "allow_fallbacks": False},
        "litellm_call_id": "1",
        "stream": False,
    }

    answers = [
        client.post(path, json=body, headers=sent) for body, sent in ((plain, {}), (plain | fields, headers))
    ]

    assert [200, 200] == [answer.status_code for answer in answers], answers[1].text
    expected, actual = (vectors(answer.json()) for answer in answers)
    assert expected == actual


def vectors(answer: Any) -> Any:
    """Of an answer in any dialect."""
    if isinstance(answer, list):
        return answer
    return answer["embeddings"] if "embeddings" in answer else answer["data"]


@pytest.mark.parametrize("path", ["/v1/files", "/v1/files/file-1", "/v1/batches"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_there_are_no_files_and_no_batches(client: httpx.Client, path: str, method: str) -> None:
    """LiteLLM's proxy looks for the files, and runs a batch itself where there are none."""
    answer = client.request(method, path)

    assert 404 == answer.status_code
    assert "invalid_request_error" == answer.json()["error"]["type"]
