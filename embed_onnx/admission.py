"""What all requests together may hold: bounded memory however many clients send at the same time."""

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from embed_onnx.errors import Overloaded
from embed_onnx.scheduler import Scheduler
from embed_onnx.settings import Settings


class Admission(ASGIMiddleware):
    """Refuses a request, before its body is read, whose bytes would be too many with those of all others.

    A request counts until it is answered, as what was made from its body lives as long.
    """

    scopes = (ScopeType.HTTP,)

    def __init__(self, settings: Settings, scheduler: Scheduler) -> None:
        self._limit = settings.max_pending
        self._max_body = settings.max_body
        self._scheduler = scheduler
        self._pending = 0

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Answer a request, or raise ``Overloaded``."""
        size = self._size(scope)
        if size and self._pending + size > self._limit and self._pending:
            raise Overloaded(
                f"{self._pending} bytes of requests are being worked on, {size} more exceed the limit of "
                f"{self._limit}; try later",
                retry_after=self._scheduler.waiting_seconds,
            )
        self._pending += size
        try:
            await next_app(scope, receive, send)
        finally:
            self._pending -= size

    def _size(self, scope: Scope) -> int:
        """Bytes of the body; the most that there can be where it does not say how many."""
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"")
        if declared.isdigit():
            return min(int(declared), self._max_body)  # a larger one is refused unread
        return self._max_body if b"transfer-encoding" in headers else 0
