"""Writes grafana-dashboard.json, next to this file: ``python deploy/grafana_dashboard.py``."""

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("grafana-dashboard.json")
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, HEIGHT, COLUMNS = 8, 8, 3
HERE = 'instance=~"$instance"'
EMBEDDING = f'{HERE}, route=~"(/v1)?/embeddings"'

Series = tuple[str, str]
"""An expression and its legend."""


def rate(name: str, labels: str = HERE) -> str:
    """How fast a counter grows, a second."""
    return f"rate({name}{{{labels}}}[$__rate_interval])"


def total(name: str, by: str) -> Series:
    """A counter's rate, by one of its labels."""
    return f"sum by ({by}) ({rate(name)})", f"{{{{{by}}}}}"


def quantiles(histogram: str, labels: str = HERE) -> list[Series]:
    """The median and what one in 20 and one in 100 exceed."""
    buckets = f"sum by (le) ({rate(f'{histogram}_bucket', labels)})"
    return [(f"histogram_quantile({part}, {buckets})", f"p{part * 100:.0f}") for part in (0.5, 0.95, 0.99)]


def gauge(name: str, by: str = "instance") -> Series:
    """A gauge of each server."""
    return f"{name}{{{HERE}}}", f"{{{{{by}}}}}"


def stage(name: str) -> tuple[str, str, list[Series]]:
    """A stage of a request."""
    return name.capitalize(), "s", quantiles(f"embed_onnx_request_{name}_duration_seconds")


FAILED = "sum(" + rate("embed_onnx_requests_total", f'{HERE}, status=~"5.."') + ")"
ROWS: dict[str, list[tuple[str, str, list[Series]]]] = {
    "Requests": [
        ("Requests by route", "reqps", [total("embed_onnx_requests_total", "route")]),
        ("Answers by status", "reqps", [total("embed_onnx_requests_total", "status")]),
        ("Failures by code", "reqps", [total("embed_onnx_request_failures_total", "code")]),
        ("Embedding requests, whole", "s", quantiles("embed_onnx_request_duration_seconds", EMBEDDING)),
        (
            "95 % of requests are faster, by route",
            "s",
            [
                (
                    "histogram_quantile(0.95, sum by (le, route) "
                    f"({rate('embed_onnx_request_duration_seconds_bucket')}))",
                    "{{route}}",
                )
            ],
        ),
        (
            "Part of answers that are server errors",
            "percentunit",
            [(f"({FAILED} or vector(0)) / sum({rate('embed_onnx_requests_total')})", "5xx")],
        ),
    ],
    "Stages of a request": [stage("tokenization"), stage("queue"), stage("inference")],
    "Work": [
        ("Tokens a second by model", "none", [total("embed_onnx_tokens_total", "model")]),
        ("Inputs a second by model", "none", [total("embed_onnx_inputs_total", "model")]),
        ("Truncated inputs a second", "none", [total("embed_onnx_truncated_inputs_total", "model")]),
        ("Results that were kept, a second", "none", [total("embed_onnx_cached_results_total", "model")]),
        ("Inputs of a request", "none", quantiles("embed_onnx_request_inputs")),
        ("Tokens of a request", "none", quantiles("embed_onnx_request_tokens")),
    ],
    "Queue and lanes": [
        ("Tokens that wait", "none", [gauge("embed_onnx_queue_tokens")]),
        ("Sequences that wait", "none", [gauge("embed_onnx_queue_size")]),
        (
            "Part of the lanes that is busy",
            "percentunit",
            [
                (
                    f"sum({rate('embed_onnx_batch_inference_duration_seconds_sum')})"
                    f" / sum(embed_onnx_lanes{{{HERE}}})",
                    "busy",
                )
            ],
        ),
        ("Sequences of a pack", "none", quantiles("embed_onnx_batch_next_size")),
        ("Tokens of a pack", "none", quantiles("embed_onnx_batch_next_tokens")),
        ("A pack's run", "s", quantiles("embed_onnx_batch_inference_duration_seconds")),
    ],
    "API keys": [
        ("Requests by key", "reqps", [total("embed_onnx_key_requests_total", "key")]),
        ("Tokens a second by key", "none", [total("embed_onnx_key_tokens_total", "key")]),
    ],
    "Servers": [
        ("Memory", "bytes", [gauge("process_resident_memory_bytes")]),
        ("Memory of results that are kept", "bytes", [gauge("embed_onnx_cache_bytes")]),
        ("Processor seconds a second", "none", [(rate("process_cpu_seconds_total"), "{{instance}}")]),
        ("Models that can embed", "none", [gauge("embed_onnx_models_ready")]),
        (
            "Lanes replaced in 10 minutes",
            "none",
            [(f"increase(embed_onnx_lanes_replaced_total{{{HERE}}}[10m])", "{{instance}}")],
        ),
        (
            "Log lines dropped a second",
            "none",
            [(rate("embed_onnx_log_lines_dropped_total"), "{{instance}}")],
        ),
        (
            "Versions",
            "none",
            [
                (
                    f"sum by (version, instruction_set, onnxruntime) (embed_onnx_build_info{{{HERE}}})",
                    "{{version}} {{instruction_set}} onnxruntime {{onnxruntime}}",
                )
            ],
        ),
    ],
}


def panel(title: str, unit: str, series: list[Series], **place: Any) -> dict[str, Any]:
    """A chart over time."""
    return {
        "type": "timeseries",
        "title": title,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": {"fillOpacity": 8}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + number), "expr": expr, "legendFormat": legend, "datasource": SOURCE}
            for number, (expr, legend) in enumerate(series)
        ],
        **place,
    }


def panels() -> list[dict[str, Any]]:
    """Rows of panels, three a line."""
    layout: list[dict[str, Any]] = []
    top = 0
    for name, row in ROWS.items():
        place = {"x": 0, "y": top, "w": WIDTH * COLUMNS, "h": 1}
        layout.append({"type": "row", "title": name, "collapsed": False, "panels": [], "gridPos": place})
        top += 1
        for number, (title, unit, series) in enumerate(row):
            x, y = number % COLUMNS * WIDTH, top + number // COLUMNS * HEIGHT
            layout.append(panel(title, unit, series, gridPos={"x": x, "y": y, "w": WIDTH, "h": HEIGHT}))
        top += -(-len(row) // COLUMNS) * HEIGHT
    return [{"id": number, **item} for number, item in enumerate(layout, start=1)]


def dashboard() -> dict[str, Any]:
    """The dashboard; where the numbers come from and which servers are shown are variables."""
    return {
        "title": "embed-onnx",
        "uid": "embed-onnx",
        "tags": ["embed-onnx"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
                {
                    "name": "instance",
                    "label": "Server",
                    "type": "query",
                    "datasource": SOURCE,
                    "query": "label_values(embed_onnx_build_info, instance)",
                    "refresh": 2,
                    "includeAll": True,
                    "multi": True,
                    "allValue": ".+",
                    "current": {"text": "All", "value": "$__all"},
                },
            ]
        },
        "panels": panels(),
    }


def text() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
