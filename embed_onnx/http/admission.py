"""Limits on a request's body and on those of all together: memory is bounded however many clients send.

Their vectors are bounded by the scheduler's queue, and answers that are not fetched by ``connection``.
"""

from collections import Counter

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPReceiveMessage, Receive, Scope, Send, WebSocketReceiveMessage

from embed_onnx.errors import BodyTooLarge
from embed_onnx.http.record import current_record
from embed_onnx.scheduling.quota import Quota
from embed_onnx.scheduling.scheduler import Scheduler
from embed_onnx.settings import Settings


class Admission(ASGIMiddleware):
    """Refuses a request whose body is too many bytes, alone or with those of all others.

    Bytes that arrived count until their request is answered, as what is decoded from them lives as long. The
    length that a request declares must fit before its body is read, but does not count: a client that
    declares a body and sends none locks nobody out.
    """

    scopes = (ScopeType.HTTP,)

    def __init__(self, settings: Settings, scheduler: Scheduler) -> None:
        self._max_body = settings.max_body
        self._quota = Quota(settings.max_pending, "bytes of requests are being worked on")
        self._scheduler = scheduler
        self._pending = 0
        self._pending_of: Counter[str] = Counter()
        """By the name of the API key."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Answer a request, unless reading its body raises ``BodyTooLarge`` or ``Overloaded``."""
        key, arrived = "", 0

        async def receive_counted() -> HTTPReceiveMessage | WebSocketReceiveMessage:
            nonlocal key, arrived
            if not arrived:
                key = current_record(scope).key  # known by now, as it comes before the body
                declared = _declared(scope)
                self._check_size(declared)
                self._check_room(key, declared, 0)
            message = await receive()
            if message["type"] == "http.request" and message["body"]:
                size = len(message["body"])
                self._check_size(arrived + size)
                self._check_room(key, arrived + size, arrived)
                arrived += size
                self._pending += size
                self._pending_of[key] += size
            return message

        try:
            await next_app(scope, receive_counted, send)
        finally:
            self._pending -= arrived
            self._pending_of[key] -= arrived

    def _check_size(self, size: int) -> None:
        """Refuse a body of so many bytes if no request may have as many.

        Raises:
            BodyTooLarge: That is so.
        """
        if size > self._max_body:
            raise BodyTooLarge(f"the body is larger than {self._max_body} bytes; send several requests")

    def _check_room(self, key: str, size: int, arrived: int) -> None:
        """Refuse a body that comes to so many bytes, of which some have arrived, if it does not fit now.

        Raises:
            Overloaded: It does not fit.
        """
        own = self._pending_of[key] - arrived if key else 0
        seconds = self._scheduler.waiting_seconds
        self._quota.check(size, held=self._pending - arrived, own=own, retry_after=seconds)


def _declared(scope: Scope) -> int:
    """Bytes of a body, where the request says how many."""
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return int(declared) if declared.isdigit() else 0
