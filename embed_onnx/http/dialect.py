"""What a wire is to the app: its routes, and the shape of its errors."""

from typing import Any

import msgspec
from litestar import Router

from embed_onnx.http.access import require_key
from embed_onnx.http.errors import ErrorShape
from embed_onnx.http.request import ApiRequest


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """One wire: what its clients may ask, and how they hear of a failure.

    Handlers make a ``work.Ask`` of a request, and an answer of what ``work.run`` returns.
    """

    handlers: tuple[Any, ...]
    errors: ErrorShape
    prefix: str | None = None
    """Of all its paths, if they have one: wrong paths and methods below it are answered in its shape, too."""

    def router(self) -> Router:
        """Its routes, which ask for a key where the server has any."""
        return Router(
            "/",
            route_handlers=self.handlers,
            guards=[require_key],
            request_class=ApiRequest,
            opt={"errors": self.errors},
        )
