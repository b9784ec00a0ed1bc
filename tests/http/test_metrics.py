"""What Prometheus sees: names, counts, bounded series, and several processes as one."""

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import MINILM, WEB, Server, embed, figure, metrics
from litestar import Litestar
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from embed_onnx import __version__
from embed_onnx.http import keys
from embed_onnx.http.app import compose
from embed_onnx.models import registry
from embed_onnx.settings import Settings

OPENMETRICS = {"accept": "application/openmetrics-text; version=1.0.0"}


def samples(text: str) -> list[Sample]:
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def test_the_page_is_well_formed(server: Server) -> None:
    """Both parsers take it; every name is ours or the process', has a help, and ends in its unit."""
    embed(server.url, "well formed")

    families = list(text_string_to_metric_families(metrics(server.url)))
    assert families
    for family in families:
        assert re.match("(embed_onnx|process)_[a-z_]+$", family.name)
        assert family.documentation
        assert family.type in ("counter", "gauge", "histogram")
        if re.search("duration|seconds", family.name) and family.type == "histogram":
            assert family.name.endswith("_duration_seconds")
        assert not re.search("_(ms|milliseconds|minutes|kb|mb|percent)(_|$)", family.name)
        assert all(sample.name.endswith("_total") for sample in family.samples if family.type == "counter")
    answer = WEB.get(f"{server.url}/metrics", headers=OPENMETRICS)
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    names = {family.name for family in openmetrics_parser.text_string_to_metric_families(answer.text)}
    assert {family.name for family in families} == names


def test_prometheus_text_is_the_default(server: Server) -> None:
    """So says the content type, with no accept header and with a browser's."""
    types = [
        WEB.get(f"{server.url}/metrics", headers={"accept": accept}).headers["content-type"]
        for accept in ("", "*/*", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
    ]

    assert ["text/plain; version=0.0.4; charset=utf-8"] * 3 == types


def test_a_request_is_booked(server: Server) -> None:
    """Once in each of its metrics, with what was really done."""
    counts = {
        "requests_total": 1,
        "request_duration_seconds_count": 1,
        "tokens_total": 4 + 256,
        "inputs_total": 2,
        "truncated_inputs_total": 1,
        "request_inputs_sum": 2,
        "request_tokens_sum": 4 + 256,
        "request_tokenization_duration_seconds_count": 1,
        "request_queue_duration_seconds_count": 1,
        "request_inference_duration_seconds_count": 1,
    }
    labels = {
        "requests_total": {"method": "POST", "route": "/v1/embeddings", "status": "200"},
        "request_duration_seconds_count": {"route": "/v1/embeddings"},
    }

    def booked() -> dict[str, float]:
        text = metrics(server.url)
        return {
            name: figure(text, f"embed_onnx_{name}", **labels.get(name, {"model": MINILM})) for name in counts
        }

    before = booked()
    embed(server.url, ["hello there", "hello " * 1000])
    after = booked()

    assert counts == {name: after[name] - before[name] for name in counts}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        pytest.param({"input": "x", "model": "no such"}, "model_not_found", id="code"),
        pytest.param({"input": []}, "invalid_request_error", id="type-where-there-is-no-code"),
        pytest.param({"input": "x " * 300, "truncate": False}, "context_length_exceeded", id="too-long"),
    ],
)
def test_failures_are_counted_by_code(server: Server, fields: dict[str, Any], code: str) -> None:
    before = figure(metrics(server.url), "embed_onnx_request_failures_total", code=code)

    WEB.post(f"{server.url}/v1/embeddings", json=fields)

    assert before + 1 == figure(metrics(server.url), "embed_onnx_request_failures_total", code=code)


def test_clients_cannot_make_series(server: Server) -> None:
    """Paths, models, methods and ids that nobody knows are all the same."""

    def strange(number: int) -> None:
        embed(server.url, "x", model=f"strange-{number}")
        WEB.get(f"{server.url}/strange/{number}")
        WEB.get(f"{server.url}/v1/models/strange-{number}")
        WEB.post(f"{server.url}/tokenize", json={"input": "x", "model": f"strange-{number}"})
        WEB.request(("PURGE", "LINK", "REPORT")[number], f"{server.url}/models")
        WEB.get(f"{server.url}/models", headers={"x-request-id": f"strange-{number}"})

    strange(0)
    before = {(sample.name, *sample.labels.items()) for sample in samples(metrics(server.url))}
    strange(1)
    strange(2)
    text = metrics(server.url)

    assert before == {(sample.name, *sample.labels.items()) for sample in samples(text)}
    assert "strange" not in text
    assert figure(text, "embed_onnx_requests_total", method="other", route="unknown", status="405") >= 3


def test_what_serves(server: Server) -> None:
    text = metrics(server.url)

    (build,) = [sample for sample in samples(text) if sample.name == "embed_onnx_build_info"]
    assert (__version__, 1) == (build.labels["version"], build.value)
    assert {"version", "instruction_set", "onnxruntime"} == set(build.labels)
    assert 2 == figure(text, "embed_onnx_models_ready")
    assert figure(text, "embed_onnx_lanes") >= 1


def test_what_only_parts_of_the_server_know(home: Path, tmp_path: Path) -> None:
    """A key's name, packs, replaced lanes and readiness reach the page."""
    path = tmp_path / "keys"
    key = keys.add(path, "alice", admin=False)
    settings = Settings(artifacts=home / "artifacts", models=home / "none", threads=1, api_keys_file=path)

    async def ask(app: Litestar) -> None:
        transport, headers = httpx.ASGITransport(app), {"authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://app", headers=headers) as client:
            await client.post("/v1/embeddings", json={"input": "hello there"})
            await client.get("/models")

    service = compose(registry.entries_to_serve(settings), settings)
    app = service.app
    with service.registry as models:
        log = app.state.metrics
        loading = log.page()[0].decode()
        models.load()
        asyncio.run(ask(app))
        app.state.ledger.book()
        models.scheduler.replaced = 2
        text = log.page()[0].decode()
        again = log.page()[0].decode()

    assert (0, 2) == (figure(loading, "embed_onnx_models_ready"), figure(text, "embed_onnx_models_ready"))
    assert 2 == figure(text, "embed_onnx_key_requests_total", key="alice")
    assert 4 == figure(text, "embed_onnx_key_tokens_total", key="alice")
    assert (1, 4) == tuple(figure(text, f"embed_onnx_batch_next_{what}_sum") for what in ("size", "tokens"))
    assert figure(text, "embed_onnx_batch_inference_duration_seconds_sum") > 0
    assert [2, 2] == [figure(seen, "embed_onnx_lanes_replaced_total") for seen in (text, again)]
    assert "embed_onnx_key_requests_total{" not in loading


def test_without_keys_there_are_no_series_of_keys(server: Server) -> None:
    embed(server.url, "no key")

    assert 'key="' not in metrics(server.url)
