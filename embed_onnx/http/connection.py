"""HTTP/1.1 on a connection: uvicorn's protocol, with the limits and the error bodies that it lacks.

A connection has ``header_seconds`` to send the headers of a request, counted from its opening or from the
first byte after an answer, and ``MAX_HEADER_BYTES`` for them. An answer must be fetched within
``answer_seconds``, and sooner where those of all connections that are not fetched come to more than
``UNFETCHED_BYTES``. What is not HTTP is refused in OpenAI's shape, after the requests before it are answered.
"""

import asyncio
import contextlib
import logging
import sys
import uuid
from collections import deque
from http import HTTPStatus
from typing import Any, Literal

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from embed_onnx.errors import EmbedError, HeadersTooLarge, InvalidRequest, RequestTooSlow
from embed_onnx.http import answers

log = logging.getLogger(__name__)

MAX_HEADER_BYTES = 65_536
"""Of a request's line and headers; the largest that clients and proxies send are near 16 KB."""
UNFETCHED_BYTES = 268_435_456
"""Of answers that clients do not fetch, on all connections. No requests are refused over this limit: a client
that reads nothing would lock out all others."""
LINGER_SECONDS = 2.0
"""After a refusal the connection is read on for this long: closed at once, it would take the answer along."""


def limited(*, header_seconds: float, answer_seconds: float) -> type["Protocol"]:
    """The protocol class with its limits, as uvicorn takes it."""
    limits = {"header_seconds": header_seconds, "answer_seconds": answer_seconds, "unfetched": {}}
    return type("LimitedProtocol", (Protocol,), limits)


class Protocol(HttpToolsProtocol):
    """One connection."""

    header_seconds: float
    answer_seconds: float
    unfetched: dict["Protocol", int]
    """All connections whose clients are slow to fetch their answers, longest first, and the bytes that each
    still had to fetch when it was last checked."""
    draining = False
    """Whether the server is stopping, so that the answer to a request is the last on its connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._inside: Literal["nothing", "headers", "body"] = "nothing"
        """What of a request the next byte belongs to."""
        self._header_bytes = 0
        """Of the line and headers, or between two pieces of a body: chunk extensions and trailers."""
        self._unanswered: deque[RequestResponseCycle] = deque()
        self._refused = False
        self._deadline: asyncio.TimerHandle | None = None
        self._answer_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time for the first request's headers."""
        super().connection_made(transport)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """End deadlines and requests with their connection."""
        self._cancel_deadline()
        self.resume_writing()
        for cycle in self._unanswered:
            self._abandon(cycle)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; refuse what is malformed or too large."""
        self._unset_keepalive_if_required()
        if self._refused:
            return
        if self._deadline is None and not self._unanswered:
            self._expect_headers()
        if self._inside != "nothing":
            self._header_bytes += len(data)
        with contextlib.suppress(httptools.HttpParserError):
            self._parse(data)
            if self._inside == "nothing" or self._header_bytes <= MAX_HEADER_BYTES:
                return
        if self._header_bytes > MAX_HEADER_BYTES:
            self._refuse(HeadersTooLarge(f"the headers are over {MAX_HEADER_BYTES} bytes; send fewer"))
        else:
            self._refuse(
                InvalidRequest("this is not an HTTP/1.1 request; check the client, and http or https")
            )

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        self._inside = "headers"
        self._header_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep headers; trailers are dropped, so that none is taken for a header."""
        if self._inside == "headers":
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request, unless it asks for another protocol and is read again."""
        self._header_bytes = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if self._header_bytes > MAX_HEADER_BYTES:
            raise ValueError
        if self.parser.should_upgrade():
            return
        super().on_headers_complete()
        if self.draining:
            self.cycle.keep_alive = False
        self._unanswered.append(self.cycle)
        self._inside = "body"
        self._header_bytes = 0
        self._cancel_deadline()

    def on_body(self, body: bytes) -> None:
        """A piece of a body, whose size the app limits."""
        self._header_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request's last byte."""
        if self._inside == "body":
            self._inside = "nothing"
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Close after the last answer before a refusal; the rest of a request has a deadline again."""
        self._unanswered.popleft()
        if self._refused and not self._unanswered:
            self.transport.close()
        super().on_response_complete()
        if self._inside != "nothing" and not self._unanswered:
            self._expect_headers()

    def pause_writing(self) -> None:
        """The client is slow to fetch its answers."""
        super().pause_writing()
        self._answer_deadline = self.loop.call_later(self.answer_seconds, self.transport.abort)
        self.unfetched[self] = sys.maxsize
        self._limit_unfetched()

    def resume_writing(self) -> None:
        """It has fetched them."""
        super().resume_writing()
        self.unfetched.pop(self, None)
        if self._answer_deadline is not None:
            self._answer_deadline.cancel()

    def _limit_unfetched(self) -> None:
        """Give up answers until the rest is within the limit, first those of clients that read nothing.

        A single answer always is within it.
        """
        sizes = {one: one.transport.get_write_buffer_size() for one in self.unfetched}
        while len(sizes) > 1 and sum(sizes.values()) > UNFETCHED_BYTES:
            unread = (one for one, size in sizes.items() if size >= self.unfetched[one])
            victim = next(unread, next(iter(sizes)))
            del sizes[victim], self.unfetched[victim]
            victim.transport.abort()
            log.warning("answers of over %d bytes are not fetched; one of them is given up", UNFETCHED_BYTES)
        self.unfetched.update(sizes)

    def _parse(self, data: bytes) -> None:
        """Feed the parser; a request to change the protocol is ignored, as RFC 9110 (7.8) allows.

        Java's client asks for h2c, and the parser would take the body after that for the new protocol.

        Raises:
            HttpParserError: It is not HTTP.
        """
        rest = memoryview(data)
        while rest:
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
                self._read_again_without_upgrade()
            else:
                return

    def _read_again_without_upgrade(self) -> None:
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            raise httptools.HttpParserError
        lines = [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(
            b"\r\n".join([method + b" " + self.url + b" HTTP/" + version, *lines, b"", b""])
        )

    def _refuse(self, err: EmbedError) -> None:
        """Read no further, answer what can be answered, and close."""
        self._refused = True
        self._cancel_deadline()
        if self._inside == "body":
            if not self._unanswered:
                self.transport.close()  # its answer was sent before its body ended
                return
            broken = self._unanswered.pop()
            self._abandon(broken)
            if broken.response_started:
                self.transport.close()
                return
            if self.pipeline:
                self.pipeline.popleft()
        if self._unanswered:
            return  # it has requests before it; the answer to the last of them closes the connection
        self._write(err)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._deadline = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _abandon(self, cycle: RequestResponseCycle) -> None:
        """Let a request's handler know that its client is gone; what it still answers is not sent."""
        cycle.disconnected = True
        cycle.message_event.set()

    def _write(self, err: EmbedError) -> None:
        body = msgspec.json.encode(answers.error_response(err))
        request_id = str(uuid.uuid4())
        lines = [
            f"HTTP/1.1 {err.status} {HTTPStatus(err.status).phrase}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            f"x-request-id: {request_id}",
            "connection: close",
        ]
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        log.info("refused %d: %s", err.status, err, extra={"request_id": request_id})

    def _expect_headers(self) -> None:
        self._cancel_deadline()
        self._deadline = self.loop.call_later(self.header_seconds, self._give_up)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        """Refuse a client that began its headers; one that sent nothing needs no answer."""
        if self._inside == "headers":
            sentence = f"the headers were not complete within {self.header_seconds:g} s; send them at once"
            self._refuse(RequestTooSlow(sentence))
        else:
            self.transport.close()
