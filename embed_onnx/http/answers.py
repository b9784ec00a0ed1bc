"""What answers have that no handler writes: a request id, and a failure's body where no route is known.

Without the web framework, as what sits in front of the app needs it, too: the connection, and Ray's proxy.
"""

import uuid
from collections.abc import Iterable

import msgspec

from embed_onnx.errors import EmbedError

REQUEST_ID_CHARACTERS = 128
"""A client's x-request-id is echoed up to this length."""


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """OpenAI's four keys."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorResponse(msgspec.Struct, frozen=True):
    """Every error, on every path."""

    error: ErrorBody


def error_response(err: EmbedError) -> ErrorResponse:
    """The body of a failed request, in OpenAI's shape."""
    return ErrorResponse(ErrorBody(message=str(err), type=err.type, param=err.param, code=err.code))


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The client's x-request-id where it can be echoed, or a new one."""
    sent = next((value for name, value in headers if name == b"x-request-id"), b"")
    text = sent.decode("latin-1")
    usable = text.isascii() and text.isprintable() and 0 < len(text) <= REQUEST_ID_CHARACTERS
    return text if usable else str(uuid.uuid4())
