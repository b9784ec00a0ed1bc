"""Prometheus' alerts: each is raised by its cause and not without it; their metrics are the server's."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployment import DEPLOY
from harness import Server, metrics

RULES: dict[str, Any] = yaml.safe_load((DEPLOY / "kubernetes/monitoring/rules.yaml").read_text())["spec"]
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
NAME = re.compile(r"embed_onnx_\w+")
SCALERS = ("autoscaling/autoscaler.yaml", "keda/scaled-object.yaml")

SERIES = {
    "EmbedOnnxQueueFull": (
        'embed_onnx_request_failures_total{code="server_overloaded"}',
        "0+60x30",
        "5+0x30",
    ),
    "EmbedOnnxSlow": (
        'embed_onnx_request_queue_duration_seconds_bucket{le="+Inf"}',
        "0+60x30",
        "7+0x30",
    ),
    "EmbedOnnxLaneReplaced": ('embed_onnx_lanes_replaced_total{instance="one"}', "0x5 1x25", "1+0x30"),
    "EmbedOnnxNotReady": ('embed_onnx_models_ready{instance="one"}', "0x30", "2x30"),
    "EmbedOnnxNoKernels": (
        'embed_onnx_build_info{instance="one", instruction_set="none"}',
        "1x30",
        "0x30",
    ),
}
"""By alert: a series, its values a minute when the alert is due, and when it is not."""
OTHERS = {
    "EmbedOnnxSlow": ('embed_onnx_request_queue_duration_seconds_bucket{le="10.0"}', "0+1x30", "7+0x30")
}


def promtool(folder: Path, tests: list[dict[str, Any]]) -> None:
    """Run unit tests of the rules."""
    command = shutil.which("promtool")
    if command is None:
        pytest.skip("there is no promtool")
    (folder / "rules.yml").write_text(yaml.safe_dump(RULES))
    (folder / "tests.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": tests}))
    done = subprocess.run(
        [command, "test", "rules", "tests.yml"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_raised_when_it_is_due(tmp_path: Path, alert: str) -> None:
    """After 15 minutes of its cause, and not without it."""
    for due in (True, False):
        rows = [row for row in (SERIES[alert], OTHERS.get(alert)) if row is not None]
        series = [{"series": row[0], "values": row[1 if due else 2]} for row in rows]
        rule = ALERTS[alert]
        labels = rule["labels"] | ({"instance": "one"} if "instance" in SERIES[alert][0] else {})
        labels |= {"instruction_set": "none"} if alert == "EmbedOnnxNoKernels" else {}
        words = {
            name: text.replace("{{ $labels.instance }}", "one") for name, text in rule["annotations"].items()
        }
        raised = [{"exp_labels": labels, "exp_annotations": words}] if due else []
        test = {"eval_time": "15m", "alertname": alert, "exp_alerts": raised}
        promtool(tmp_path, [{"interval": "1m", "input_series": series, "alert_rule_test": [test]}])


def test_every_metric_is_the_servers(server: Server) -> None:
    """Of alerts and of what scales by the queue."""
    page = metrics(server.url)
    texts = [rule["expr"] for rule in ALERTS.values()]
    texts += [(DEPLOY / f"kubernetes/{name}").read_text() for name in SCALERS]
    names = {name for text in texts for name in NAME.findall(text)}

    assert {"embed_onnx_queue_tokens", "embed_onnx_build_info"} < names
    assert [] == [name for name in sorted(names) if f"\n# TYPE {name.removesuffix('_bucket')} " not in page]
