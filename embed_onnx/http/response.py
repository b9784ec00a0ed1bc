"""Answers of a dialect's handlers: JSON, without what Litestar's own response does for cookies and the like.

That would be a twentieth of a short text's time: after a model has run, little of Python is in the caches,
and each step that is left out counts several times.
"""

from typing import Any

import msgspec
from litestar import MediaType, Request, Response
from litestar.types import ASGIApp, Receive, Scope, Send

JSON = (b"content-type", b"application/json")


class ApiResponse(Response[Any]):
    """What a handler returned, perhaps with headers; it sets no cookies, and nothing is done after it."""

    def to_asgi_response(  # type: ignore[override]  # any ASGI app will do
        self,
        app: Any,
        request: Request[Any, Any, Any],
        *,
        media_type: MediaType | str | None = None,
        status_code: int | None = None,
        **options: Any,
    ) -> ASGIApp:
        """What sends it."""
        if (self.media_type or media_type) != MediaType.JSON:
            return super().to_asgi_response(
                app, request, media_type=media_type, status_code=status_code, **options
            )
        headers = [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]
        return _encoded(msgspec.json.encode(self.content), self.status_code or status_code or 200, headers)


def _encoded(body: bytes, status: int, headers: list[tuple[bytes, bytes]]) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's signature
        more = [*headers, JSON, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": more})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return answer
