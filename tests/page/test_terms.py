"""The view of sparse terms, by a real browser at a real server."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from browsing import Visit
from harness import SPARSE, START_SECONDS, Server
from playwright.sync_api import expect

TEXTS = ["a few words", "<b>numbers</b> such as 12", "word " * 100]


@pytest.fixture
def seen(visit: Callable[..., Visit], sparse_server: Server) -> Visit:
    visited = visit(sparse_server.url, "terms")
    expect(visited.page.get_by_label("Weighed by")).to_be_enabled()
    return visited


@pytest.fixture
def api(sparse_server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sparse_server.url, timeout=START_SECONDS) as opened:
        yield opened


def test_terms_by_their_weights(seen: Visit, api: httpx.Client) -> None:
    """The API's, the greatest first; a text that was cut says so, and markup in a text stays text."""
    seen.send("Show terms", None, TEXTS)

    body = {"model": SPARSE, "input": TEXTS, "max_active_dims": 30, "return_terms": True}
    answer = api.post("/v1/sparse_embeddings", json=body).raise_for_status().json()
    for place, item in enumerate(answer["data"]):
        pairs = sorted(zip(item["terms"], item["values"], strict=True), key=lambda pair: -pair[1])
        row = seen.page.locator("#terms-list tbody tr").nth(place)
        assert [f"{word} {weight:.2f}" for word, weight in pairs] == row.locator(
            ".terms span"
        ).all_inner_texts()
        assert item.get("truncated", False) == (row.locator("mark").count() == 1)
    assert TEXTS[1] == seen.texts("#terms-list .text")[1]
    assert [SPARSE, "3"] == seen.texts("#terms-figures dd")[:2]
    note = "Of each text the 30 greatest weights, the greatest first. ## marks a part of a word."
    assert [note] == seen.texts("#terms-note")
    assert [] == seen.complaints


def test_the_program_gives_the_same(seen: Visit) -> None:
    seen.send("Show terms", None, TEXTS[:2])

    assert "/v1/sparse_embeddings" in seen.texts("#terms-code pre")[0]


def test_a_server_of_only_a_sparse_model(
    visit: Callable[..., Visit], sparse_home: Path, tmp_path: Path
) -> None:
    """Its view comes first."""
    (tmp_path / SPARSE).symlink_to(sparse_home / "artifacts" / SPARSE)
    with Server(["--artifacts", str(tmp_path)], {}, tmp_path) as server:
        server.wait_ready()
        seen = visit(server.url, view="")
        expect(seen.page.get_by_label("Weighed by")).to_be_enabled()
        seen.send("Show terms", None, TEXTS)

        assert TEXTS[0] == seen.texts("#terms-list .text")[0]
        assert [] == seen.complaints


def test_a_server_of_no_sparse_model(visit: Callable[..., Visit]) -> None:
    seen = visit(view="terms")

    sentence = "This view needs a sparse model; this server has none."
    expect(seen.page.locator("#lacking")).to_contain_text(sentence)
    expect(seen.page.locator("#form")).to_be_hidden()
