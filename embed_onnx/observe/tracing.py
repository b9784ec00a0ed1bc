"""OpenTelemetry: a span for each request, those of its stages below it, and HTTP metrics, sent over OTLP.

Without OTEL_EXPORTER_OTLP_ENDPOINT it is off, and nothing of OpenTelemetry is imported. Its
variables are its own (OTEL_SERVICE_NAME, OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER, ...) and are
read by its SDK. Spans carry templates of routes, served models and counts, never what a user sent.
"""

import os
import threading
from typing import TYPE_CHECKING, Any, Self

from litestar.exceptions import HTTPException
from litestar.plugins import PluginProtocol
from litestar.utils.path import normalize_path

from embed_onnx import __version__, install
from embed_onnx.errors import SetupError
from embed_onnx.observe.record import METHODS, Record

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
FLUSH_SECONDS = 5.0
"""How long the end of the process may wait for a collector to take the last spans."""


class Tracing:
    """Traces and metrics on their way to a collector; ``plugin`` makes the spans of requests."""

    def __init__(self, *, untraced: tuple[str, ...]) -> None:
        """Begin to send; paths of ``untraced`` have no spans.

        Raises:
            SetupError: The packages are not installed, or another protocol is configured.
        """
        protocol = os.environ.get(PROTOCOL) or "http/protobuf"
        if protocol != "http/protobuf":
            raise SetupError(
                f"{PROTOCOL} is {protocol!r} and this server speaks http/protobuf, which collectors take on "
                "port 4318; unset it"
            )
        # Names of attributes as they are since 2023. The older ones would carry whole URLs.
        os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http"
        try:
            from litestar.plugins.opentelemetry import OpenTelemetryConfig, OpenTelemetryPlugin

            self._traces, self._metrics = _providers()
        except ImportError as err:
            raise SetupError(
                f"{ENDPOINT} is set and {err.name} is not installed; "
                f"run `{install.command('otel')}`, or unset the variable"
            ) from None
        self._tracer = self._traces.get_tracer("embed_onnx", __version__)
        self.plugin: PluginProtocol = OpenTelemetryPlugin(
            OpenTelemetryConfig(
                tracer_provider=self._traces,
                meter_provider=self._metrics,
                scope_span_details_extractor=_details,
                exclude=[f"^{path}$" for path in untraced],
                exclude_spans=["receive", "send"],
            )
        )

    @classmethod
    def from_environment(cls, *, untraced: tuple[str, ...]) -> Self | None:
        """Tracing if the variable names a collector, or else None."""
        return cls(untraced=untraced) if os.environ.get(ENDPOINT) else None

    def add(self, record: Record) -> None:
        """Write a request's record to the current span, and give that a span for each stage."""
        from opentelemetry import trace

        span = trace.get_current_span()
        if not span.is_recording():
            return
        attributes: dict[str, str | int] = {
            "gen_ai.request.model": record.model,
            "gen_ai.usage.input_tokens": record.tokens,
            "embed_onnx.inputs": record.inputs,
            "embed_onnx.cached": record.cached,
            "embed_onnx.request_id": record.request_id,
            "error.type": record.error,
        }
        span.set_attributes({name: value for name, value in attributes.items() if value})
        stages = record.stages
        if stages is None:
            return
        end = stages.end_ns
        for name, seconds in (
            ("infer", stages.infer),
            ("queue", stages.queue),
            ("tokenize", stages.tokenize),
        ):
            start = end - int(seconds * 1e9)
            self._tracer.start_span(name, start_time=start).end(end_time=end)
            end = start

    def close(self) -> None:
        """Send the remaining spans, as far as the collector takes them; blocks."""
        # Threads, as an exporter whose collector is away would keep the process for longer.
        closing = [
            threading.Thread(target=provider.shutdown, daemon=True)
            for provider in (self._traces, self._metrics)
        ]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join(FLUSH_SECONDS)


def _providers() -> tuple["TracerProvider", "MeterProvider"]:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = Resource({"service.name": "embed-onnx", "service.version": __version__})
    resource = Resource.create().merge(named).merge(OTELResourceDetector().detect())
    traces = TracerProvider(resource=resource, shutdown_on_exit=False)
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    # Many collectors of traces take no metrics, such as Jaeger.
    silent = os.environ.get("OTEL_METRICS_EXPORTER") == "none"
    readers = [] if silent else [PeriodicExportingMetricReader(OTLPMetricExporter())]
    return traces, MeterProvider(readers, resource=resource, shutdown_on_exit=False)


def _details(scope: Any) -> tuple[str, dict[str, Any]]:
    """A span's name and attributes: the route's template, as the path may hold a user's words."""
    path, method = normalize_path(scope["path"]), scope["method"]
    try:
        route = scope["litestar_app"].asgi_router.handle_routing(path=path, method=method)[-1]
    except HTTPException:
        route = "unknown"
    hidden = {"url.query": ""} if scope["query_string"] else {}
    name = method if method in METHODS else "HTTP"
    return f"{name} {route}", {"http.route": route, "url.path": route, **hidden}
