"""What Prometheus sees. One object an app, so that several apps in one process do not share counts.

Names follow those of Hugging Face's text-embeddings-inference where both have the thing, with units.
Labels are words of this server's own, so that no client can make series: routes, served models,
names of keys, codes of errors.

Where PROMETHEUS_MULTIPROC_DIR was set before this file was imported, the processes that share the
folder count as one, whichever of them answers.
"""

import importlib.metadata
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from embed_onnx import __version__
from embed_onnx.models.registry import Registry
from embed_onnx.observe import logs
from embed_onnx.observe.record import PROBES, Record, Stages

disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each, which no dashboard uses

M = TypeVar("M", bound=MetricWrapperBase)

WORK = ("model", "task")
"""The labels of what models did."""
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
SECONDS = (*(0.0005 * 2**n for n in range(11)), 1, 2, 4, 8, 16, 32, 64)
"""Each bucket is twice the last: one short text takes about 1 ms, a full queue a minute."""
SEQUENCES = tuple(2**n for n in range(12))
"""1 to 2048, the most inputs of a request."""
TOKENS = tuple(2**n for n in range(14))
"""1 to 8192, the longest sequences that models take."""
REQUEST_TOKENS = tuple(4**n for n in range(11))
"""1 to a million, what the queue holds."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """GET /page/load: what the page shows of the server; None where that is not known.

    Counters since ``started``, in seconds of the epoch; requests without those of ``PROBES``.
    """

    tokens_total: float
    requests_total: float
    queue_tokens: float | None
    memory_bytes: float | None
    started: float | None


class PackMetrics:
    """What lanes run. It is there before them, so that the scheduler can be made with its ``add``."""

    def __init__(self) -> None:
        self.collectors = collectors = CollectorRegistry()
        self._sequences = _histogram(collectors, "batch_next_size", "Sequences of a pack", SEQUENCES)
        self._tokens = _histogram(collectors, "batch_next_tokens", "Tokens of a pack", TOKENS)
        self._seconds = _histogram(
            collectors, "batch_inference_duration_seconds", "A pack's run on its lane", SECONDS
        )

        self._open: deque[tuple[int, int, float]] = deque()

    def add(self, sequences: int, tokens: int, seconds: float) -> None:
        """Take note of a pack that a lane has run, in the lane's thread, whose requests wait for it."""
        self._open.append((sequences, tokens, seconds))

    def book(self) -> None:
        """Count the packs that were noted."""
        while self._open:
            sequences, tokens, seconds = self._open.popleft()
            self._sequences.observe(sequences)
            self._tokens.observe(tokens)
            self._seconds.observe(seconds)


class Metrics:
    """Counts and timings of requests, and the state of the server; the event loop's."""

    def __init__(self, registry: Registry, packs: PackMetrics) -> None:
        self._registry = registry
        self._packs = packs
        self._collectors = packs.collectors
        self._children: dict[tuple[MetricWrapperBase, *tuple[str, ...]], Any] = {}
        self._followed: dict[Counter, int] = {}
        self._count_requests()
        self._count_work()
        self._queue_tokens = self._gauge("queue_tokens", "Tokens that wait")
        self._queue_size = self._gauge("queue_size", "Sequences that wait")
        self._cache_bytes = self._gauge("cache_bytes", "Memory of results that are kept")
        self._gauge("lanes", "Packs that run at the same time").set(registry.scheduler.lanes)
        self._lanes_replaced = self._counter("lanes_replaced", "Lanes that died or hung and were replaced")
        self._lines_dropped = self._counter(
            "log_lines_dropped", "Log lines dropped as nobody read standard error"
        )
        self._models_ready = self._gauge(
            "models_ready",
            "Models that can embed: all of them, or none while loading or draining",
            mode="livemax",
        )
        build = {
            "version": __version__,
            "instruction_set": registry.kernels.instruction_set or "none",
            "onnxruntime": importlib.metadata.version("onnxruntime"),
        }
        self._gauge(
            "build_info", "What serves: its version, its kernels', ONNX Runtime's", *build, mode="livemax"
        ).labels(**build).set(1)
        self._shared = MULTIPROCESS in os.environ
        self._page_collectors = _page_collectors(self._collectors)

    def add(self, record: Record) -> None:
        """Book a request, and the packs that ran since the last one."""
        self._packs.book()
        self._at(self._requests, record.method, record.route, str(record.status)).inc()
        self._at(self._duration, record.route).observe(record.seconds)
        if record.error:
            self._at(self._failures, record.error).inc()
        if record.key:
            self._at(self._key_requests, record.key).inc()
        if record.stages is not None:
            self._add_work(record, record.stages)
        if self._shared:
            self._refresh()  # another process may write the next page

    def page(self, accept: str = "") -> tuple[bytes, str]:
        """A page and its content type: OpenMetrics if ``accept`` names it, or else Prometheus' text."""
        self._refresh()
        encode, content_type = choose_encoder(accept)
        return encode(self._page_collectors), content_type

    def load(self) -> Load:
        """The figures that the playground shows."""
        self._refresh()
        samples = [sample for family in self._page_collectors.collect() for sample in family.samples]

        def total(name: str) -> float | None:
            values = [
                sample.value
                for sample in samples
                if sample.name == name and sample.labels.get("route") not in PROBES
            ]
            return sum(values) if values else None

        return Load(
            tokens_total=total("embed_onnx_tokens_total") or 0,
            requests_total=total("embed_onnx_requests_total") or 0,
            queue_tokens=total("embed_onnx_queue_tokens"),
            memory_bytes=total("process_resident_memory_bytes"),
            started=total("process_start_time_seconds"),
        )

    def _count_requests(self) -> None:
        self._requests = self._counter(
            "requests", "Answers, by route and HTTP status", "method", "route", "status"
        )
        self._failures = self._counter(
            "request_failures", "Failed requests, by the error's code or, where it has none, its type", "code"
        )
        self._duration = self._histogram(
            "request_duration_seconds", "From a request's headers to its answer's", SECONDS, "route"
        )
        self._key_requests = self._counter("key_requests", "Requests, by the name of their API key", "key")
        self._key_tokens = self._counter("key_tokens", "Tokens embedded, by the name of the API key", "key")

    def _count_work(self) -> None:
        self._tokens = self._counter("tokens", "Tokens embedded, special tokens included", *WORK)
        self._inputs = self._counter("inputs", "Inputs embedded", *WORK)
        self._truncated = self._counter("truncated_inputs", "Inputs cut at the model's limit", *WORK)
        self._cached = self._counter("cached_results", "Results that were kept from earlier requests", *WORK)
        self._request_inputs = self._histogram("request_inputs", "Inputs of a request", SEQUENCES, *WORK)
        self._request_tokens = self._histogram("request_tokens", "Tokens of a request", REQUEST_TOKENS, *WORK)
        self._tokenization = self._histogram(
            "request_tokenization_duration_seconds", "A request's tokenization", SECONDS, *WORK
        )
        self._queueing = self._histogram(
            "request_queue_duration_seconds",
            "From a request's queueing to its first sequence's start",
            SECONDS,
            *WORK,
        )
        self._inference = self._histogram(
            "request_inference_duration_seconds",
            "From a request's first sequence's start to the last one's end",
            SECONDS,
            *WORK,
        )

    def _add_work(self, record: Record, stages: Stages) -> None:
        """Book what a model did."""
        work = (record.model, record.task)
        self._at(self._tokens, *work).inc(record.tokens)
        self._at(self._inputs, *work).inc(record.inputs)
        self._at(self._truncated, *work).inc(record.truncated_inputs)
        self._at(self._cached, *work).inc(record.cached)
        self._at(self._request_inputs, *work).observe(record.inputs)
        self._at(self._request_tokens, *work).observe(record.tokens)
        self._at(self._tokenization, *work).observe(stages.tokenize)
        self._at(self._queueing, *work).observe(stages.queue)
        self._at(self._inference, *work).observe(stages.infer)
        if record.key:
            self._at(self._key_tokens, record.key).inc(record.tokens)

    def _refresh(self) -> None:
        """Copy what is counted elsewhere."""
        self._packs.book()
        scheduler = self._registry.scheduler
        self._queue_tokens.set(scheduler.waiting_tokens)
        self._queue_size.set(scheduler.waiting_sequences)
        self._cache_bytes.set(self._registry.cache.bytes if self._registry.cache else 0)
        self._models_ready.set(len(self._registry.manifests) if self._registry.state == "ready" else 0)
        self._follow(self._lanes_replaced, scheduler.replaced)
        self._follow(self._lines_dropped, logs.lines_dropped())

    def _follow(self, counter: Counter, total: int) -> None:
        """Raise a counter to what is counted elsewhere."""
        if more := total - self._followed.get(counter, 0):
            counter.inc(more)
            self._followed[counter] = total

    def _at(self, metric: M, *labels: str) -> M:
        """The child of a metric with these labels; ``labels`` of the library takes a third of all this."""
        child = self._children.get((metric, *labels))
        if child is None:
            child = self._children[metric, *labels] = metric.labels(*labels)
        return child

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"embed_onnx_{name}", text, labels, registry=self._collectors)

    def _gauge(
        self, name: str, text: str, *labels: str, mode: Literal["livesum", "livemax"] = "livesum"
    ) -> Gauge:
        return Gauge(f"embed_onnx_{name}", text, labels, registry=self._collectors, multiprocess_mode=mode)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return _histogram(self._collectors, name, text, buckets, *labels)


def _histogram(
    collectors: CollectorRegistry, name: str, text: str, buckets: tuple[float, ...], *labels: str
) -> Histogram:
    return Histogram(f"embed_onnx_{name}", text, labels, buckets=buckets, registry=collectors)


class _Workers(Collector):
    """Memory and processor time of all processes; prometheus_client has them for one alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        """Sums over the processes that live."""
        sums: dict[str, Metric] = {}
        for path in self._folder.glob("gauge_livesum_*.db"):
            pid = path.stem.rpartition("_")[2]
            for metric in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
                if metric.name in sums:
                    (before,), (more,) = sums[metric.name].samples, metric.samples
                    metric.samples = [more._replace(value=before.value + more.value)]
                if metric.name in ("process_resident_memory_bytes", "process_cpu_seconds"):
                    sums[metric.name] = metric
        yield from sums.values()


def _page_collectors(own: CollectorRegistry) -> CollectorRegistry:
    """The metrics of a page: this process' own, or those of every process that shares the folder."""
    if MULTIPROCESS not in os.environ:
        ProcessCollector(registry=own)
        return own
    shared = CollectorRegistry()
    MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    shared.register(_Workers(Path(os.environ[MULTIPROCESS])))
    return shared
