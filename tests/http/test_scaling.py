"""docs/scaling.md and its calculator: the laws it states, and names that exist."""

import re
import subprocess
import sys

import pytest
from harness import ROOT, Server, embed, metrics

from benchmarks import cost, peers, record
from benchmarks.cost import SHAPES, Work, core_seconds

PAGE = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
SPEED = record.read("speed")
WORK = Work(texts=1000, tokens=100, layers=6, width=384)


@pytest.mark.parametrize("model", [peers.SMALL, peers.BASE])
def test_what_was_measured_comes_out_again(model: str) -> None:
    """For the texts and models of the results, the computed cost is the measured one."""
    layers, width = SHAPES[model]
    actual = SPEED["results"]["models"][model]
    cell = actual["cells"]["mixed"]
    rate = cell["engines"]["embed-onnx"]["tokens_per_second"][1]

    seconds = core_seconds(Work(cell["texts"], cell["tokens"] / cell["texts"], layers, width), SPEED)

    assert pytest.approx(cell["tokens"] / rate * SPEED["machine"]["cores"]) == seconds
    assert actual["macs_per_token"] == Work(1, 0, layers, width).macs_per_token


def test_cost_grows_as_the_page_says() -> None:
    """In proportion to texts; with tokens a little faster, and with the model's products more slowly."""
    base = core_seconds(WORK, SPEED)
    twice_the_texts = core_seconds(Work(2000, 100, 6, 384), SPEED)
    twice_the_tokens = core_seconds(Work(1000, 200, 6, 384), SPEED)
    twice_the_layers = core_seconds(Work(1000, 100, 12, 384), SPEED)

    assert pytest.approx(2 * base) == twice_the_texts
    assert 2 * base < twice_the_tokens < 2.2 * base
    assert base < twice_the_layers < 2 * base


@pytest.mark.parametrize(("tokens", "percent"), [(64, 3), (256, 11)])
def test_what_attention_adds(tokens: int, percent: int) -> None:
    """The page's figures are those of the formula."""
    added = Work(1, tokens, 6, 384).macs_per_token / Work(1, 0, 6, 384).macs_per_token - 1

    assert percent == round(added * 100)
    assert f"{percent}% at {tokens}" in PAGE


def test_the_command_of_the_page_runs() -> None:
    """It prints core-hours, hours and a price that belong together."""
    (command,) = re.findall(r"^python (-m benchmarks.cost .*)$", PAGE, re.MULTILINE)

    done = subprocess.run(
        [sys.executable, *command.split()], cwd=ROOT, capture_output=True, text=True, check=True
    )
    hours, elapsed, price = (float(line.split(": ")[1].split()[0]) for line in done.stdout.splitlines())

    assert pytest.approx(hours / 8, abs=0.1) == elapsed
    assert pytest.approx(hours * 0.04, abs=0.1) == price


def test_measured_cases_are_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row a case, with the ratio of what was measured; here without a model."""
    monkeypatch.setattr(
        cost, "_embed", lambda case: (case.texts * case.words, 0.001 * case.texts * case.words)
    )

    rows = cost.check(1)

    assert [case.texts for case in cost.CASES] == [row["texts"] for row in rows]
    assert {1000} == {row["measured"] for row in rows}
    assert all(pytest.approx(row["measured"] / row["computed"], rel=0.01) == row["ratio"] for row in rows)


def test_metrics_of_the_page_exist(server: Server) -> None:
    """Every name of a metric is on the server's page."""
    names = set(re.findall(r"embed_onnx_\w+", PAGE))
    embed(server.url, "x")

    page = metrics(server.url)

    assert [] == [name for name in names if name not in page]


def test_lines_of_the_site_are_those_of_the_page() -> None:
    """What the page explains of nginx-balanced.conf stands in it."""
    site = re.sub(r" +", " ", (ROOT / "deploy/nginx-balanced.conf").read_text())
    explained = re.findall(
        r"^\| `([^`]+)`.* \| .* \|$", PAGE.split("| line | why |")[1].split("\n\n")[0], re.MULTILINE
    )

    assert 6 == len(explained)
    assert [] == [line for line in explained if line not in site]
