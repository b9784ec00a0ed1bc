"""Errors as clients of text-embeddings-inference read them."""

from typing import Annotated

import msgspec
from msgspec import Meta

from embed_onnx.errors import EmbedError
from embed_onnx.http.errors import ErrorShape

TYPES = {424: "Backend", 429: "Overloaded", 503: "Unhealthy"}
"""By its status; every other is a Validation error."""


class TeiError(msgspec.Struct, frozen=True):
    """Every error on these routes."""

    error: Annotated[str, Meta(description="What is wrong: the value, the limit and the way out.")]
    error_type: Annotated[str, Meta(description="`Validation`, `Backend`, `Overloaded` or `Unhealthy`.")]


def _error(err: EmbedError, status: int) -> TeiError:
    return TeiError(str(err), TYPES.get(status, "Validation"))


ERRORS = ErrorShape(body=TeiError, write=_error, statuses={400: 422, 500: 424})
