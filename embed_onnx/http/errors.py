"""How failures look on each wire, and which of them /openapi.json names."""

from collections.abc import Callable
from typing import Any

import msgspec
from litestar import MediaType, Response
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example

from embed_onnx import errors
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
EXAMPLES = {
    400: errors.InvalidRequest("dimensions is 999; this model takes 1 to 384", param="dimensions"),
    401: errors.InvalidApiKey(
        "this server asks for an API key; send it as Authorization: Bearer KEY, or as api-key: KEY"
    ),
    403: errors.Forbidden("this API key is not an admin's; ask the server's administrator for one that is"),
    404: errors.ModelNotFound(
        "the model 'nope' is not served here; served are all-MiniLM-L6-v2", param="model"
    ),
    405: errors.InvalidRequest("/v1/embeddings does not take GET; GET /docs lists what it takes"),
    408: errors.RequestTooSlow("the body was not complete within 300 s; send it at once"),
    413: errors.BodyTooLarge("the body is larger than 16777216 bytes; send several requests"),
    415: errors.WrongMediaType("the content type is 'text/plain'; send application/json"),
    429: errors.Overloaded(
        "1048000 tokens wait, and 4096 more exceed the limit of 1048576; try later", retry_after=2
    ),
    431: errors.HeadersTooLarge("the headers are over 65536 bytes; send fewer"),
    500: errors.InferenceFailed("the model gave a vector that is not finite, for up to 256 tokens"),
    503: errors.Unavailable("the server is going down; send the request again"),
}
"""A failure of each, as the server words it."""
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
        specs = {status: OPENAI.response(status) for status in UNROUTED}
        specs |= {self.statuses.get(each, each): self.response(each) for each in {*self.always, *statuses}}
        return dict(sorted(specs.items()))

    def response(self, status: int) -> ResponseSpec:
        """A failure for which ours is this status."""
        body = self.write(EXAMPLES[status], self.statuses.get(status, status))
        return ResponseSpec(
            self.body,
            description=MEANINGS[status],
            generate_examples=False,
            examples=[Example(value=body)],
        )


OPENAI = ErrorShape(body=ErrorResponse, write=lambda err, _: answers.error_response(err))
"""Also where a request is for no route, or for one that belongs to no wire."""
