"""The headers of its answers."""

import time

from embed_onnx.http.record import current_record
from embed_onnx.http.request import ApiRequest
from embed_onnx.models.outcome import Outcome


def of(request: ApiRequest, outcome: Outcome) -> dict[str, str]:
    """What its clients read of a request's cost; times in whole milliseconds."""
    seconds = time.perf_counter() - current_record(request.scope).started
    times = {
        "x-compute-time": seconds,
        "x-total-time": seconds,
        "x-tokenization-time": outcome.tokenize_seconds,
        "x-queue-time": outcome.queue_seconds,
        "x-inference-time": outcome.infer_seconds,
    }
    return {
        "x-compute-type": "cpu",
        "x-compute-tokens": str(outcome.num_tokens),
        **{name: str(round(time * 1e3)) for name, time in times.items()},
    }
