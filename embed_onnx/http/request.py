"""Requests as handlers get them: a body that is decoded once and strictly, and in time."""

import asyncio
import functools
from typing import Any

import msgspec
from litestar import Request, route
from litestar.datastructures import State
from litestar.enums import HttpMethod

from embed_onnx.errors import ClientGone, RequestTooSlow, WrongMediaType
from embed_onnx.http.body import reading

read = functools.partial(route, http_method=[HttpMethod.GET, HttpMethod.HEAD])
"""The decorator of routes that are read: HEAD is answered as GET is, without the body."""

FORM = "application/x-www-form-urlencoded"
UNDECLARED = ("", FORM)
"""Of a body whose sender did not say what it is: nothing, or curl's default. A web page may send these to any
server without asking it first; its requests have an Origin, and must declare JSON."""


class ApiRequest(Request[Any, Any, State]):
    """Decodes a body once and strictly, straight into the struct that its handler declares."""

    _whole: bytes | None = None
    """The body, once it was read."""

    async def json(self) -> Any:
        """The handler's struct.

        Raises:
            WrongMediaType: The body is not declared as JSON.
            InvalidRequest: The body is not what the struct says.
        """
        declared = self._header(b"content-type", "").partition(";")[0].strip().lower()
        if declared != "application/json" and (declared not in UNDECLARED or "origin" in self.headers):
            raise WrongMediaType(f"the content type is {declared!r}; send application/json")
        encoding = self._header(b"content-encoding", "identity")
        if encoding != "identity":
            raise WrongMediaType(f"the content encoding is {encoding!r}; send the body as it is")
        field = self.route_handler.parsed_data_field
        assert field is not None  # noqa: S101 - only handlers with a body get here
        kind: type[msgspec.Struct] = field.annotation
        body = await self.body()
        if declared == FORM and not body.lstrip().startswith((b"{", b"[", reading.BYTE_ORDER_MARK)):
            raise WrongMediaType(
                f"the content type is {declared!r}, and so is the body; send application/json"
            )
        return reading.read(body, kind)

    async def body(self) -> bytes:
        """The body, once it is there.

        Raises:
            RequestTooSlow: It did not arrive in time.
            ClientGone: The client closed the connection before.
        """
        if self._whole is None:
            seconds = self.app.state.settings.request_timeout
            try:
                async with asyncio.timeout(seconds):
                    self._whole = await self._read()
            except TimeoutError:
                sentence = f"the body was not complete within {seconds:g} s; send it at once"
                raise RequestTooSlow(sentence) from None
        return self._whole

    async def _read(self) -> bytes:
        pieces = []
        more = True
        while more:
            message = await self.receive()
            if message["type"] != "http.request":
                raise ClientGone("the client closed the connection inside its request")
            pieces.append(message["body"])
            more = message["more_body"]
        return b"".join(pieces)

    def _header(self, name: bytes, default: str) -> str:
        """A header, if it is there; Litestar would first make a dictionary of all of them."""
        values = (value.decode("latin-1") for other, value in self.scope["headers"] if other == name)
        return next(values, default)
