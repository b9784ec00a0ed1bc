"""OpenTelemetry against a collector that speaks OTLP over HTTP."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from harness import MINILM, ROOT, START_SECONDS, WEB, Server, clean_environment
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from embed_onnx import install

MARKER = "xyzzymarker"
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Collector:
    """Takes what a server sends; ``bodies`` are the decoded requests by path."""

    def __init__(self) -> None:
        self.bodies: dict[str, list[bytes]] = {"/v1/traces": [], "/v1/metrics": []}
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies[self.path].append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def spans(self) -> dict[str, Span]:
        """The spans by name."""
        result: dict[str, Span] = {}
        for body in self.bodies["/v1/traces"]:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    result |= {span.name: span for span in scope.spans}
        return result

    def services(self) -> set[str]:
        return {
            attribute.value.string_value
            for body in self.bodies["/v1/traces"]
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for attribute in resource.resource.attributes
            if attribute.key == "service.name"
        }

    def metrics(self) -> dict[str, set[str]]:
        """Names of metrics, and the routes that their points are of."""
        result: dict[str, set[str]] = {}
        for body in self.bodies["/v1/metrics"]:
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        result[metric.name] = {
                            attribute.value.string_value
                            for point in metric.histogram.data_points
                            for attribute in point.attributes
                            if attribute.key == "http.route"
                        }
        return result


@pytest.fixture
def collector() -> Iterator[Collector]:
    result = Collector()
    yield result
    result.close()


def attributes(span: Span) -> dict[str, object]:
    return {
        item.key: getattr(item.value, item.value.WhichOneof("value") or "string_value")
        for item in span.attributes
    }


def embed(url: str, **fields: object) -> httpx.Response:
    """A request of a client that traces, with the marker wherever a text may be."""
    return WEB.post(
        f"{url}/v1/embeddings?q={MARKER}",
        json={"input": [MARKER, f"{MARKER} {MARKER}"], **fields},
        headers={"traceparent": f"00-{TRACE}-{PARENT}-01", "x-openwebui-user-email": MARKER},
    )


def test_spans_of_a_request_and_its_stages(serve: Callable[..., Server], collector: Collector) -> None:
    """The client's trace goes on; the stages are below the request, in order and within it."""
    server = serve(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_SERVICE_NAME="ours")
    embed(server.url)
    server.stop()

    spans = collector.spans()
    request = spans["POST /v1/embeddings"]
    stages = [spans[name] for name in ("tokenize", "queue", "infer")]
    assert 4 == len(spans)  # no probes among them
    assert {"ours"} == collector.services()
    assert (TRACE, PARENT) == (request.trace_id.hex(), request.parent_span_id.hex())
    assert {(request.trace_id, request.span_id)} == {(span.trace_id, span.parent_span_id) for span in stages}
    edges = [edge for span in stages for edge in (span.start_time_unix_nano, span.end_time_unix_nano)]
    assert sorted(edges) == edges
    log = attributes(request)
    assert (MINILM, 2, "/v1/embeddings", "/v1/embeddings", 200) == tuple(
        log[name]
        for name in (
            "gen_ai.request.model",
            "embed_onnx.inputs",
            "http.route",
            "url.path",
            "http.response.status_code",
        )
    )
    assert log["gen_ai.usage.input_tokens"] > 4  # type: ignore[operator]


def test_no_text_of_a_user_is_sent(serve: Callable[..., Server], collector: Collector) -> None:
    """Neither inputs nor headers, paths, queries and model names, whether a request succeeds or fails."""
    server = serve(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    embed(server.url)
    embed(server.url, model=MARKER)
    embed(server.url, prompt_name=MARKER)
    embed(server.url, dimensions=MARKER)
    WEB.get(f"{server.url}/v1/models/{MARKER}")
    WEB.get(f"{server.url}/{MARKER}")
    WEB.put(f"{server.url}/models?{MARKER}={MARKER}")
    server.stop()

    spans = collector.spans()
    assert {"GET /v1/models/{model_id}", "GET unknown", "PUT unknown"} < set(spans)
    assert "model_not_found" == attributes(spans["GET /v1/models/{model_id}"])["error.type"]
    assert MARKER.encode() not in b"".join(collector.bodies["/v1/traces"] + collector.bodies["/v1/metrics"])


def test_metrics_by_route(serve: Callable[..., Server], collector: Collector) -> None:
    server = serve(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    embed(server.url)
    WEB.get(f"{server.url}/{MARKER}")
    server.stop()

    assert {"/v1/embeddings", "unknown"} == collector.metrics()["http.server.request.duration"]


def test_metrics_can_be_left_out(serve: Callable[..., Server], collector: Collector) -> None:
    server = serve(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_METRICS_EXPORTER="none")
    embed(server.url)
    server.stop()

    assert ({}, True) == (collector.metrics(), "infer" in collector.spans())


def test_a_collector_that_is_away_disturbs_nobody(serve: Callable[..., Server], collector: Collector) -> None:
    """Requests are answered, and the server ends as it should."""
    collector.close()
    server = serve(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)

    answer = embed(server.url)

    log = server.stop()
    assert (200, 0) == (answer.status_code, server.process.returncode)
    assert MARKER not in log


def serve_and_fail(home: Path, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "embed_onnx", "serve", "--port", "0"],
        cwd=home,
        env=clean_environment() | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=START_SECONDS,
    )
    return done.returncode, done.stderr.splitlines()[-1]


def test_without_the_extra(home: Path, tmp_path: Path) -> None:
    """A sentence says what to install."""
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry/__init__.py").touch()
    path = f"{tmp_path}:{ROOT}"

    code, line = serve_and_fail(home, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1", PYTHONPATH=path)

    assert 1 == code
    assert line.startswith("embed-onnx: OTEL_EXPORTER_OTLP_ENDPOINT is set and opentelemetry")
    assert install.command("otel") in line


def test_another_protocol(home: Path) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}

    code, line = serve_and_fail(home, **environment)

    assert (1, True) == (code, "'grpc' and this server speaks http/protobuf" in line)


def test_nothing_is_imported_while_it_is_off() -> None:
    code = (
        "import sys, embed_onnx.http.server, embed_onnx.observe.tracing as t\n"
        "tracing = t.Tracing.from_environment(untraced=())\n"
        "print(tracing, [name for name in sys.modules if 'opentelemetry' in name])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean_environment() | {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "None []\n" == done.stdout
