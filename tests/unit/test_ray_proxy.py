"""What Ray's proxy answers by itself, in OpenAI's shape; what a replica answers, as it is."""

import asyncio
from typing import Any

import httpx
import pytest

from embed_onnx.ray.proxy import LOST, NO_REPLICA, Proxy


def ask(*messages: dict[str, Any], request_id: str = "mine") -> httpx.Response:
    """The answer where Ray's proxy sends these messages, with the request id that it got."""

    async def inner(scope, receive, send) -> None:
        number = dict(scope["headers"])[b"x-request-id"]
        for message in messages:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-request-id", number))
            await send(message)

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(Proxy(inner)), base_url="http://x"
        ) as client:
            return await client.get("/", headers={"x-request-id": request_id})

    return asyncio.run(send())


def answer(status: int, kind: bytes, body: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    start = {"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]}
    return start, {"type": "http.response.body", "body": body}


@pytest.mark.parametrize(
    ("source", "status", "kind", "sentence"),
    [
        pytest.param((), 503, "server_error", LOST, id="no-answer"),
        pytest.param(answer(503, b"text/plain", b"x"), 503, "server_error", NO_REPLICA, id="unavailable"),
        pytest.param(answer(429, b"text/plain", b"x"), 429, "rate_limit_error", NO_REPLICA, id="too-many"),
        pytest.param(
            answer(404, b"text/plain; charset=utf-8", b"x"),
            404,
            "invalid_request_error",
            "no application is deployed at this path; `serve status` lists what there is",
            id="no-application",
        ),
        pytest.param(
            answer(408, b"text/plain", b"x"),
            503,
            "server_error",
            "not done within the time that Ray's request_timeout_s gives; send fewer inputs",
            id="too-slow",
        ),
    ],
)
def test_an_answer_of_ray(source: tuple[dict[str, Any], ...], status: int, kind: str, sentence: str) -> None:
    actual = ask(*source)

    assert (status, "application/json") == (actual.status_code, actual.headers["content-type"])
    assert {"message": sentence, "type": kind, "param": None} == {
        name: value for name, value in actual.json()["error"].items() if name != "code"
    }
    assert ["mine"] == actual.headers.get_list("x-request-id")
    assert (status != 404) == ("retry-after" in actual.headers)


def test_an_answer_of_another_application() -> None:
    """Which says how long it is, as frameworks do and Ray does not."""
    start, body = answer(404, b"text/plain", b"Not Found")
    start["headers"].append((b"content-length", b"9"))

    actual = ask(start, body)

    assert (404, b"Not Found") == (actual.status_code, actual.content)


@pytest.mark.parametrize(
    ("status", "kind"), [(200, b"text/plain"), (404, b"application/json"), (503, b"application/json")]
)
def test_an_answer_of_a_replica(status: int, kind: bytes) -> None:
    actual = ask(*answer(status, kind, b"as it is"))

    assert (status, kind.decode(), b"as it is") == (
        actual.status_code,
        actual.headers["content-type"],
        actual.content,
    )
    assert ["mine"] == actual.headers.get_list("x-request-id")


def test_a_request_id_that_cannot_be_echoed() -> None:
    actual = ask(*answer(200, b"application/json", b"{}"), request_id="bad\tid")

    assert 36 == len(actual.headers["x-request-id"])
