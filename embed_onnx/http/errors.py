"""How failures look on each wire, and which of them /openapi.json names."""

from collections.abc import Callable
from typing import Any

import msgspec
from litestar import MediaType, Response
from litestar.openapi.datastructures import ResponseSpec

from embed_onnx.errors import EmbedError
from embed_onnx.http import answers
from embed_onnx.http.answers import ErrorResponse

MEANINGS = {
    400: "The request is wrong; the error names the field.",
    401: "The API key is missing or unknown.",
    403: "The API key is not an admin's.",
    404: "The model is not served here.",
    405: "The route does not take this method; see Allow.",
    408: "The headers or the body took too long to arrive.",
    413: "The body is larger than the server takes.",
    415: "The body is not declared as plain JSON.",
    429: "The queue is full, or would make it late, or too many bytes are worked on; see Retry-After.",
    431: "The headers are larger than the server takes.",
    500: "A bug, or a vector that is not finite.",
    503: "Models are loading, the server is going down, or the request took or would take too long.",
}
UNROUTED = (400, 405, 431)
"""Refused before a route is known, and so in OpenAI's shape."""
ALWAYS = (400, 408, 429, 500)
"""What every operation may answer, in its own shape."""


class ErrorShape(msgspec.Struct, frozen=True, kw_only=True):
    """How one wire reports failures.

    ``write`` makes a body of type ``body`` from an error and the status that it is sent with.
    """

    body: type
    write: Callable[[EmbedError, int], Any]
    statuses: dict[int, int] = {}
    """Where its statuses are others than ours: its own by ours."""
    always: tuple[int, ...] = ALWAYS

    def answer(self, err: EmbedError) -> Response[Any]:
        """A failed request."""
        status = self.statuses.get(err.status, err.status)
        body = self.write(err, status)
        return Response(body, status_code=status, headers=err.headers, media_type=MediaType.JSON)

    def responses(self, *statuses: int) -> dict[int, ResponseSpec]:
        """What an operation may answer besides success: what every one may, and these of our statuses."""
        meanings: dict[int, tuple[int, type]] = {status: (status, ErrorResponse) for status in UNROUTED}
        meanings |= {
            self.statuses.get(status, status): (status, self.body) for status in {*self.always, *statuses}
        }
        return {
            status: ResponseSpec(body, description=MEANINGS[meaning], generate_examples=False)
            for status, (meaning, body) in sorted(meanings.items())
        }


OPENAI = ErrorShape(body=ErrorResponse, write=lambda err, _: answers.error_response(err))
"""Also where a request is for no route, or for one that belongs to no wire."""
