"""What Ray Serve's proxies do as the plain server does: request ids, and errors in OpenAI's shape.

A proxy loads this where the variable of ``CALLBACK`` names it. Without it, everything works but for the
answers that Ray gives by itself, which are plain text: no replica is there, or the one that had the request
ended.
"""

from typing import Any

import msgspec
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from embed_onnx.errors import EmbedError, InvalidRequest, Overloaded, Unavailable
from embed_onnx.http import answers

CALLBACK = ("RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH", "embed_onnx.ray.proxy:middlewares")
"""Ray's variable, for its proxies, and what it is to name."""
LOST = "the replica that had this request ended before it was answered; send it again"
NO_REPLICA = "no replica can take this request; try again in a moment"


def middlewares() -> list[Middleware]:
    """What Ray puts around its proxy."""
    return [Middleware(Proxy)]


class Proxy:
    """Ray's proxy with the request ids and the errors of the plain server."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        number = answers.request_id(scope["headers"]).encode()
        headers = [pair for pair in scope["headers"] if pair[0] != b"x-request-id"]
        answer = _Answer(send)
        named = {**scope, "headers": [*headers, (b"x-request-id", number)]}
        await self._app(named, receive, answer.send)
        if answer.error is not None:
            await _refuse(answer.error, number, send)


class _Answer:
    """Sends on what a replica answers, and keeps back what Ray answers by itself."""

    def __init__(self, send: Send) -> None:
        self.error: EmbedError | None = Unavailable(LOST)
        """What to answer instead; None where an answer was sent on."""
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.error = _error_of(message)
        if self.error is None:
            await self._send(message)


def _error_of(message: Message) -> EmbedError | None:
    """What Ray says by itself, plain text of no known length; None for the answer of a replica."""
    headers = dict(message["headers"])
    if b"content-length" in headers or not headers.get(b"content-type", b"").startswith(b"text/plain"):
        return None
    known: dict[int, EmbedError] = {
        404: _not_found(),
        408: Unavailable("not done within the time that Ray's request_timeout_s gives; send fewer inputs"),
        429: Overloaded(NO_REPLICA, retry_after=1),
        503: Unavailable(NO_REPLICA),
    }
    return known.get(message["status"])


def _not_found() -> EmbedError:
    err = InvalidRequest("no application is deployed at this path; `serve status` lists what there is")
    err.status = 404
    return err


async def _refuse(err: EmbedError, number: bytes, send: Any) -> None:
    body = msgspec.json.encode(answers.error_response(err))
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        **{name.lower(): value for name, value in err.headers.items()},
    }
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send(
        {"type": "http.response.start", "status": err.status, "headers": [*pairs, (b"x-request-id", number)]}
    )
    await send({"type": "http.response.body", "body": body})
