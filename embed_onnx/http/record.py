"""The record of a request on its way through the app; with the answer, it goes to log, metrics and trace."""

import asyncio
import logging
import time
from typing import Any

from litestar.types import Message, Scope

from embed_onnx.http import answers
from embed_onnx.observe.metrics import Metrics
from embed_onnx.observe.record import METHODS, PROBES, Record, Stages

log = logging.getLogger(__name__)


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


async def finish(message: Message, scope: Scope) -> None:
    """Give an answer its request id and its timing, and have it counted, traced and logged."""
    if message["type"] != "http.response.start":
        return
    record = current_record(scope)
    record.route = str(scope.get("path_template") or "unknown")
    record.status = message["status"]
    record.seconds = time.perf_counter() - record.started
    headers = [*message["headers"], (b"x-request-id", record.request_id.encode())]
    timing = "" if record.stages is None else server_timing(record.stages)
    if timing:
        headers.append((b"server-timing", timing.encode()))
    if vary := scope["state"].get("vary"):  # added here, as Litestar's CORS replaces a header of that name
        headers.append((b"vary", vary.encode()))
    message["headers"] = headers
    state = scope["litestar_app"].state
    if state.tracing is not None:
        state.tracing.add(record)  # now, as the request's span ends with it
    # Not before the answer is on its way: the client need not wait for this.
    asyncio.get_running_loop().call_soon(_book, state.metrics, record, timing)


def server_timing(stages: Stages) -> str:
    """The Server-Timing header (W3C), in milliseconds."""
    named = {"tokenize": stages.tokenize, "queue": stages.queue, "infer": stages.infer}
    return ", ".join(f"{name};dur={seconds * 1e3:.3f}" for name, seconds in named.items())


def _book(metrics: Metrics, record: Record, timing: str) -> None:
    """Count a request, and write its line."""
    metrics.add(record)
    fields = {
        "request_id": record.request_id,
        "method": record.method,
        "route": record.route,
        "status": record.status,
        "model": record.model,
        "key": record.key,
        "error": record.error,
        "inputs": record.inputs or None,
        "tokens": record.tokens or None,
        "duration_ms": round(record.seconds * 1e3, 3),
        "timing": timing,
    }
    level = logging.DEBUG if record.route in PROBES else logging.INFO
    log.log(level, "%s %s %s", record.method, record.route, record.status, extra=fields)
