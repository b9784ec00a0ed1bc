"""The record of a request on its way through the app; with the answer, it goes to log, metrics and trace."""

import asyncio
import logging
import time
from typing import Any

from litestar.types import HTTPResponseStartEvent, Scope

from embed_onnx.http import answers
from embed_onnx.observe.metrics import Metrics
from embed_onnx.observe.record import METHODS, PAGES, PROBES, Record, Stages

log = logging.getLogger(__name__)

BOOKING_SECONDS = 0.01
"""How long finished requests wait to be counted and logged."""


def new_record(scope: Scope) -> Record:
    """The record of a request that begins now."""
    method = str(scope.get("method"))
    return Record(
        request_id=answers.request_id(scope["headers"]), method=method if method in METHODS else "other"
    )


def current_record(scope: Any) -> Record:
    """The record of the request that a scope is of."""
    record: Record = scope["state"]["record"]
    return record


def finish(message: HTTPResponseStartEvent, scope: Scope) -> None:
    """Give an answer its request id and its timing, and have it counted, traced and logged."""
    record = current_record(scope)
    record.route = str(scope.get("path_template") or "unknown")
    record.status = message["status"]
    record.seconds = time.perf_counter() - record.started
    headers = [*message["headers"], (b"x-request-id", record.request_id.encode())]
    timing = "" if record.stages is None else server_timing(record.stages, record.cached)
    if timing:
        headers.append((b"server-timing", timing.encode()))
    if vary := scope["state"].get("vary"):  # added here, as Litestar's CORS replaces a header of that name
        headers.append((b"vary", vary.encode()))
    message["headers"] = headers
    state = scope["litestar_app"].state
    if state.tracing is not None:
        state.tracing.add(record)  # now, as the request's span ends with it
    ledger: Ledger = state.ledger
    ledger.add(record, timing)


def server_timing(stages: Stages, cached: int) -> str:
    """The Server-Timing header (W3C), in milliseconds, and how many results were kept ones, if any."""
    named = {"tokenize": stages.tokenize, "queue": stages.queue, "infer": stages.infer}
    timing = ", ".join(f"{name};dur={seconds * 1e3:.3f}" for name, seconds in named.items())
    return f"{timing}, cache;desc={cached}" if cached else timing


class Ledger:
    """Finished requests, which are counted and logged together a moment after their answers.

    The next request would wait for it, if that followed each answer; of several, each takes a fraction of the
    time, as the code is in the processor's caches from the second on.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._open: list[tuple[Record, str]] = []

    def add(self, record: Record, timing: str) -> None:
        """Have a request booked within ``BOOKING_SECONDS``."""
        if not self._open:
            asyncio.get_running_loop().call_later(BOOKING_SECONDS, self.book)
        self._open.append((record, timing))

    def book(self) -> None:
        """Book now what is open: before somebody reads the metrics, and at the end."""
        records, self._open = self._open, []
        for record, timing in records:
            self._metrics.add(record)
            _log(record, timing)


def _log(record: Record, timing: str) -> None:
    """Write a request's line."""
    fields = {
        "request_id": record.request_id,
        "method": record.method,
        "route": record.route,
        "status": record.status,
        "model": record.model,
        "task": record.task,
        "key": record.key,
        "error": record.error,
        "inputs": record.inputs or None,
        "tokens": record.tokens or None,
        "cached": record.cached or None,
        "duration_ms": round(record.seconds * 1e3, 3),
        "timing": timing,
    }
    log.log(_level(record), "%s %s %s", record.method, record.route, record.status, extra=fields)


def _level(record: Record) -> int:
    """Files of pages that were read are as little news as probes."""
    page = record.method in ("GET", "HEAD") and record.route in PAGES and record.status < 400
    return logging.DEBUG if page or record.route in PROBES else logging.INFO
