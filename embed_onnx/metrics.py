"""What Prometheus sees. One object an app, so that several apps in one process do not share counts."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from embed_onnx.model import Embedded
from embed_onnx.scheduler import Scheduler

disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each, which no dashboard uses

SECONDS = (
    0.0005,
    0.001,
    0.002,
    0.004,
    0.008,
    0.016,
    0.032,
    0.064,
    0.128,
    0.256,
    0.512,
    1,
    2,
    4,
    8,
    16,
    32,
    64,
)
"""Each bucket is twice the last: one short text takes about 1 ms, a full queue a minute."""


class Metrics:
    """Counts and timings; thread-safe."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._collectors = CollectorRegistry()
        ProcessCollector(registry=self._collectors)
        self.requests = Counter(
            "embed_onnx_requests",
            "Answers, by route and HTTP status",
            ["method", "route", "status"],
            registry=self._collectors,
        )
        self._tokens = self._counter("tokens", "Tokens embedded, special tokens included")
        self._inputs = self._counter("inputs", "Inputs embedded")
        self._truncated = self._counter("truncated_inputs", "Inputs cut at the model's limit")
        self._tokenize = self._histogram("tokenization", "Seconds a request was tokenized")
        self._queue = self._histogram(
            "queue", "Seconds from a request's queueing to its first sequence's start"
        )
        self._infer = self._histogram(
            "inference", "Seconds from the first sequence's start to the last one's end"
        )
        self._gauge("queue_tokens", "Tokens that wait").set_function(lambda: scheduler.waiting_tokens)
        self._gauge("queue_size", "Sequences that wait").set_function(lambda: scheduler.waiting_sequences)

    def count(self, model: str, embedded: Embedded) -> None:
        """Book an answered request."""
        self._tokens.labels(model).inc(embedded.num_tokens)
        self._inputs.labels(model).inc(len(embedded.tokens))
        self._truncated.labels(model).inc(sum(item.truncated for item in embedded.tokens))
        self._tokenize.labels(model).observe(embedded.tokenize_seconds)
        self._queue.labels(model).observe(embedded.queue_seconds)
        self._infer.labels(model).observe(embedded.infer_seconds)

    def page(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self._collectors)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"embed_onnx_{name}", text, ["model"], registry=self._collectors)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"embed_onnx_{name}", text, registry=self._collectors)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(
            f"embed_onnx_request_{name}_seconds", text, ["model"], buckets=SECONDS, registry=self._collectors
        )
