"""What a wire is to the app: its routes, and the shape of its errors."""

from typing import Any

import msgspec
from litestar import Router

from embed_onnx.http.access import RequireKey
from embed_onnx.http.errors import ErrorShape
from embed_onnx.http.request import ApiRequest
from embed_onnx.http.response import ApiResponse


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One wire: its routes, and how its clients learn of a failure.

    A handler turns a request into a ``work.Ask``, and what ``work.run`` returns into an answer.
    """

    handlers: tuple[Any, ...]
    errors: ErrorShape
    prefix: str | None = None
    """Of all its paths, if they have one: wrong paths and methods below it are answered in its shape, too."""

    def router(self) -> Router:
        """Its routes, which require an API key where the server has any."""
        return Router(
            "/",
            route_handlers=self.handlers,
            middleware=[RequireKey()],
            request_class=ApiRequest,
            response_class=ApiResponse,
            opt={"errors": self.errors},
        )
