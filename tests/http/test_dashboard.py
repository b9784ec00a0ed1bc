"""The Grafana dashboard against the metrics of a real server."""

import importlib.util
import json
import re
from collections import Counter
from types import ModuleType
from typing import Any

import pytest
from harness import ROOT, Server, embed, metrics
from prometheus_client.parser import text_string_to_metric_families

DEPLOY = ROOT / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
CHARTS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
FROM_PROMETHEUS = {"instance"}
"""Labels that the scrape adds."""


@pytest.fixture(scope="module")
def labels(server: Server) -> dict[str, set[str]]:
    """Names of the samples that a server exposes after some requests, and their labels."""
    assert [200, 404] == [embed(server.url, "x", model=name).status_code for name in (None, "?")]
    result: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(metrics(server.url)):
        for sample in family.samples:
            result.setdefault(sample.name, set()).update(sample.labels)
        if not family.samples:  # those by key, where no key was asked for
            result[f"{family.name}_total"] = {"key"}
    return result


def targets() -> list[dict[str, Any]]:
    return [target for panel in CHARTS for target in panel["targets"]]


def names(expr: str) -> set[str]:
    return set(re.findall(r"\b(?:embed_onnx|process)_\w+", expr))


def used_labels(target: dict[str, Any]) -> set[str]:
    expr = target["expr"]
    matched = re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', expr)
    grouped = [name.strip() for names in re.findall(r"by \(([^)]*)\)", expr) for name in names.split(",")]
    return {*matched, *grouped, *re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])}


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("grafana_dashboard", DEPLOY / "grafana_dashboard.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_file_is_what_the_script_writes():
    assert script().text() == (DEPLOY / "grafana-dashboard.json").read_text()


@pytest.mark.parametrize("target", targets(), ids=lambda target: target["expr"])
def test_every_name_and_label_is_exposed(target: dict[str, Any], labels: dict[str, set[str]]) -> None:
    used = names(target["expr"])

    assert used
    assert used <= set(labels)
    assert used_labels(target) - FROM_PROMETHEUS <= set.union(*(labels[name] for name in used))


def test_every_metric_of_ours_is_on_it(labels: dict[str, set[str]]) -> None:
    def family(name: str) -> str:
        return re.sub("_(bucket|sum|count)$", "", name)

    charted = {family(name) for target in targets() for name in names(target["expr"])}

    assert {family(name) for name in labels if name.startswith("embed_onnx_")} <= charted


def test_what_grafana_asks_of_a_dashboard():
    """Panels have ids of their own, do not overlap, and take their data source from a variable."""
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    ids = Counter(panel["id"] for panel in DASHBOARD["panels"])
    cells = Counter(
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    )

    assert {1} == set(ids.values()) == set(cells.values())
    assert {x for x, _ in cells} <= set(range(24))
    assert ("datasource", "prometheus") == (variables["datasource"]["type"], variables["datasource"]["query"])
    for item in [*CHARTS, *targets(), variables["instance"]]:
        assert {"type": "prometheus", "uid": "${datasource}"} == item["datasource"]
    for panel in CHARTS:
        assert all(panel[key] for key in ("title", "targets", "fieldConfig", "options"))
        assert len(panel["targets"]) == len({target["refId"] for target in panel["targets"]})
    assert not DASHBOARD.keys() & {"id", "__inputs"}
