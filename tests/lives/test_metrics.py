"""Metrics of servers of their own: the stages of a request, and processes that share a folder."""

from collections.abc import Callable
from pathlib import Path

from harness import MINILM, SMALL, Server, embed, figure, metrics, numbered, until
from prometheus_client.multiprocess import mark_process_dead
from prometheus_client.openmetrics import parser as openmetrics_parser

OPENMETRICS = {"accept": "application/openmetrics-text; version=1.0.0"}


def test_durations_hold_their_stages(serve: Callable[..., Server]) -> None:
    """A whole request takes at least as long as its stages together."""
    server = serve()
    embed(server.url, numbered("hello " * 100, 20))

    text = metrics(server.url)
    stages = [
        figure(text, f"embed_onnx_request_{stage}_duration_seconds_sum", model=MINILM)
        for stage in ("tokenization", "queue", "inference")
    ]
    whole = figure(text, "embed_onnx_request_duration_seconds_sum", route="/v1/embeddings")
    assert 0 < sum(stages) < whole


def test_processes_that_share_a_folder(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Each tells of all: counts and live gauges are sums, and one that ended leaves its counts."""
    one, other = (serve("--threads", "1", PROMETHEUS_MULTIPROC_DIR=str(tmp_path)) for _ in range(2))
    embed(one.url, "hello there")
    embed(other.url, "hello there", model=SMALL)
    embed(other.url, "hello there")

    # A process books its requests a moment after their answers.
    until(lambda: figure(metrics(one.url), "embed_onnx_tokens_total", model=MINILM) == 8, seconds=10)

    first, second = metrics(one.url), metrics(other.url)
    openmetrics_page = metrics(one.url, **OPENMETRICS)
    other.stop()
    mark_process_dead(other.process.pid, path=str(tmp_path))
    last = metrics(one.url)

    for text in (first, second):
        assert 8 == figure(text, "embed_onnx_tokens_total", model=MINILM)
        assert 1 == figure(text, "embed_onnx_request_inputs_bucket", model=SMALL, le="1.0")
        assert 3 == figure(text, "embed_onnx_request_duration_seconds_count", route="/v1/embeddings")
        assert 2 == figure(text, "embed_onnx_lanes")
        assert 2 == figure(text, "embed_onnx_models_ready")
        assert 0 == figure(text, "embed_onnx_queue_size")
        assert 1 == figure(text, "embed_onnx_build_info")
    assert list(openmetrics_parser.text_string_to_metric_families(openmetrics_page))
    assert (8, 1) == (
        figure(last, "embed_onnx_tokens_total", model=MINILM),
        figure(last, "embed_onnx_lanes"),
    )
    assert 0 < figure(last, "process_resident_memory_bytes") < figure(first, "process_resident_memory_bytes")
    assert figure(last, "process_cpu_seconds_total") > 0
