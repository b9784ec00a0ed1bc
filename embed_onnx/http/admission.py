"""Limits on a request's body and on those of all together: memory is bounded however many clients send.

Their vectors are bounded by the scheduler's queue, and answers that are not fetched by ``connection``.
"""

from collections import Counter

from litestar.types import HTTPReceiveMessage, Receive, Scope, WebSocketReceiveMessage

from embed_onnx.errors import BodyTooLarge
from embed_onnx.http.record import current_record
from embed_onnx.scheduling.quota import Quota
from embed_onnx.scheduling.scheduler import Scheduler
from embed_onnx.settings import Settings


class Admission:
    """Refuses a request whose body is too many bytes, alone or with those of all others, as it is read.

    Not one of Litestar's middlewares, for each of which a request passes two more functions, as does each
    message of its answer.

    Bytes that arrived count until their request is answered, as what is decoded from them lives as long. The
    length that a request declares must fit before its body is read, but does not count: a client that
    declares a body and sends none locks nobody out.
    """

    def __init__(self, settings: Settings, scheduler: Scheduler) -> None:
        self._max_body = settings.max_body
        self._quota = Quota(settings.max_pending, "bytes of requests are being worked on")
        self._scheduler = scheduler
        self._pending = 0
        self._pending_of: Counter[str] = Counter()
        """By the name of the API key."""

    def body(self, scope: Scope, receive: Receive) -> "Body":
        """The body of a request that begins."""
        return Body(self, scope, receive)

    def add(self, key: str, size: int) -> None:
        """Count bytes of a key that arrived; a negative number takes them away."""
        self._pending += size
        self._pending_of[key] += size

    def check_size(self, size: int) -> None:
        """Refuse a body of so many bytes if no request may have as many.

        Raises:
            BodyTooLarge: That is so.
        """
        if size > self._max_body:
            raise BodyTooLarge(f"the body is larger than {self._max_body} bytes; send several requests")

    def check_room(self, key: str, size: int, arrived: int) -> None:
        """Refuse a body that comes to so many bytes, of which some have arrived, if it does not fit now.

        Raises:
            Overloaded: It does not fit.
        """
        own = self._pending_of[key] - arrived if key else 0
        held = self._pending - arrived
        self._quota.check(size, held=held, own=own, retry_after=self._scheduler.waiting_seconds)


class Body:
    """One request's body, whose bytes count until ``release``."""

    def __init__(self, admission: Admission, scope: Scope, receive: Receive) -> None:
        self._admission = admission
        self._scope = scope
        self._receive = receive
        self._key = ""
        self._arrived = 0

    async def receive(self) -> HTTPReceiveMessage | WebSocketReceiveMessage:
        """The next message.

        Raises:
            BodyTooLarge: No request may have so many bytes.
            Overloaded: They do not fit now.
        """
        admission, arrived = self._admission, self._arrived
        if not arrived:
            self._key = current_record(self._scope).key  # known by now, as it comes before the body
            declared = _declared(self._scope)
            admission.check_size(declared)
            admission.check_room(self._key, declared, 0)
        message = await self._receive()
        if message["type"] == "http.request" and message["body"]:
            size = len(message["body"])
            admission.check_size(arrived + size)
            admission.check_room(self._key, arrived + size, arrived)
            admission.add(self._key, size)
            self._arrived += size
        return message

    def release(self) -> None:
        """Count its bytes no longer."""
        self._admission.add(self._key, -self._arrived)


def _declared(scope: Scope) -> int:
    """Bytes of a body, where the request says how many."""
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return int(declared) if declared.isdigit() else 0
