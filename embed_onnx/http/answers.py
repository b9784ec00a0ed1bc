"""What answers of several wires share: a request id, usage, and a failure's body where no route is known.

Without the web framework, as what sits in front of the app needs it, too: the connection, and Ray's proxy.
"""

import uuid
from collections.abc import Iterable
from typing import Annotated, Literal, Self

import msgspec
from msgspec import Meta, UnsetType

from embed_onnx.errors import EmbedError

REQUEST_ID_CHARACTERS = 128
"""A client's x-request-id is echoed up to this length."""


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """OpenAI's four keys."""

    message: Annotated[str, Meta(description="What is wrong: the value, the limit and the way out.")]
    type: Annotated[str, Meta(description="OpenAI's kind of error, such as `invalid_request_error`.")]
    param: Annotated[str | None, Meta(description="The field that is wrong; null if it is none.")]
    code: Annotated[
        str | None, Meta(description="A word for programs, such as `model_not_found`; null if there is none.")
    ]


class ErrorResponse(msgspec.Struct, frozen=True):
    """Every error, on every path."""

    error: Annotated[ErrorBody, Meta(description="Why the request failed.")]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of a request, special tokens included; a query counts once for each document."""

    prompt_tokens: Annotated[
        int,
        Meta(
            description="Tokens of all texts, special tokens included; a query counts once for each document."
        ),
    ]
    total_tokens: Annotated[int, Meta(description="The same, as nothing is generated.")]

    @classmethod
    def of(cls, num_tokens: int) -> Self:
        """The usage of a request that had so many; nothing is generated, so all are the prompt's."""
        return cls(prompt_tokens=num_tokens, total_tokens=num_tokens)


AnswerId = Annotated[str, Meta(description="A new one for each answer.")]
Created = Annotated[int, Meta(description="Unix time in seconds.")]
ListObject = Annotated[Literal["list"], Meta(description="Always `list`.")]
NameOfModel = Annotated[str, Meta(description="The name of the model.")]
RequestUsage = Annotated[Usage, Meta(description="Tokens of the whole request.")]
Place = Annotated[int, Meta(description="The place of the input in the request.")]
NumTokens = Annotated[int, Meta(description="Tokens that the model has read, special tokens included.")]
Truncated = Annotated[bool | UnsetType, Meta(description="`true` if the text was cut; else left out.")]


def error_response(err: EmbedError) -> ErrorResponse:
    """The body of a failed request, in OpenAI's shape."""
    return ErrorResponse(ErrorBody(message=str(err), type=err.type, param=err.param, code=err.code))


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The client's x-request-id where it can be echoed, or a new one."""
    sent = next((value for name, value in headers if name == b"x-request-id"), b"")
    text = sent.decode("latin-1")
    usable = text.isascii() and text.isprintable() and 0 < len(text) <= REQUEST_ID_CHARACTERS
    return text if usable else str(uuid.uuid4())
