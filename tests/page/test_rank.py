"""The view that ranks documents, alone and beside an embedder's order, by a real browser at a real server."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from browsing import Visit, contrast
from harness import RERANKER, SMALL, START_SECONDS, Server
from playwright.sync_api import expect

QUERY = "numbers such as 12"
DOCUMENTS = [
    "a few words",
    "stand beside letters",
    "12",
    "and some more words, commas and dots",
    "<b>words</b>",
]
AWKWARD = ["""it's "quoted" \\ $HOME `id` ~""", "JSON", "naïve 日本語 🙂", "unseen \u200b \u2028 end"]
KEY = "sesame-7f3a"
DASH = "\N{EN DASH}"


@pytest.fixture
def seen(visit: Callable[..., Visit], scoring_server: Server) -> Visit:
    """The view, on a server of an embedder, a reranker and a classifier."""
    return visit(scoring_server.url, "rank")


@pytest.fixture
def api(scoring_server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=scoring_server.url, timeout=START_SECONDS) as opened:
        yield opened


def ranked(api: httpx.Client) -> list[dict[str, Any]]:
    body = {"model": RERANKER, "query": QUERY, "documents": DOCUMENTS}
    return api.post("/v1/rerank", json=body).raise_for_status().json()["results"]


def retrieved(api: httpx.Client) -> list[int]:
    """The documents by their cosines, with the model's prompts, as places."""

    def vectors(role: str, texts: list[str]) -> np.ndarray:
        body = {"model": SMALL, "input": texts, "prompt_name": role}
        return np.array([item["embedding"] for item in api.post("/v1/embeddings", json=body).json()["data"]])

    documents, query = vectors("document", DOCUMENTS), vectors("query", [QUERY])[0]
    cosines = documents @ query / np.linalg.norm(documents, axis=1) / np.linalg.norm(query)
    return [int(place) for place in np.argsort(-cosines, kind="stable")]


def test_scores_with_bars(seen: Visit, api: httpx.Client) -> None:
    """The order and the scores of the API, and bars as long as these."""
    seen.rank(QUERY, DOCUMENTS)

    results = ranked(api)
    assert [DOCUMENTS[each["index"]] for each in results] == seen.texts("#reranked-list .text")
    assert [f"{each['relevance_score']:.3f}" for each in results] == seen.texts("#reranked-list .value")
    bars = seen.page.locator("#reranked-list .value").evaluate_all(
        "(cells) => cells.map((cell) => cell.querySelector('i').offsetWidth / cell.clientWidth)"
    )
    assert bars == pytest.approx([each["relevance_score"] for each in results], abs=0.02)
    assert seen.texts("#status")[0].startswith("Ranked 5 texts in ")
    assert [RERANKER, "5"] == seen.texts("#rank-figures dd")[:2]
    assert ["tokenize", "queue", "infer", "network and browser"] == seen.texts("#rank-timings dt")


def test_what_moved_since_retrieval(seen: Visit, api: httpx.Client) -> None:
    """The embedder's order is that of its cosines; the other says by how many ranks each document moved."""
    seen.rank(QUERY, DOCUMENTS)

    before, after = retrieved(api), [each["index"] for each in ranked(api)]
    assert [DOCUMENTS[place] for place in before] == seen.texts("#retrieved-list .text")
    moves = [before.index(place) - rank for rank, place in enumerate(after)]
    marks = [f"▲up {move}" if move > 0 else f"▼down {-move}" if move else DASH for move in moves]
    assert marks == seen.texts("#reranked-list .moved")
    assert any(moves)
    assert re.match(rf"{sum(map(bool, moves))} texts? moved; ", seen.texts("#order-note")[0])
    roles = [(body["prompt_name"], len(body["input"])) for body in seen.sent()]
    assert [("document", 5), ("query", 1)] == roles


def test_no_other_host_and_no_complaint(seen: Visit, scoring_server: Server) -> None:
    """The examples rank at once; what users type is never markup."""
    seen.rank()
    seen.rank(QUERY, DOCUMENTS)

    assert [] == seen.complaints
    assert [] == [request.url for request in seen.requests if not request.url.startswith(scoring_server.url)]
    assert 0 == seen.page.locator("main b").count()
    assert [8, 5] == [len(body["documents"]) for body in seen.sent("/v1/rerank")]


def test_without_an_embedder_beside(seen: Visit) -> None:
    expect(seen.page.get_by_label("Reranker")).to_be_enabled()
    seen.page.get_by_label("Beside the order of").select_option(label="None")
    seen.rank(QUERY, DOCUMENTS)

    expect(seen.page.locator("#retrieved")).to_be_hidden()
    assert [] == seen.texts("#reranked-list .moved")
    assert [] == seen.sent()


def test_views(seen: Visit) -> None:
    """Each has an address, and only models that can do its task."""
    expect(seen.page.get_by_label("Reranker")).to_be_enabled()
    assert [RERANKER] == seen.texts("#reranker option")
    assert [SMALL, "None"] == seen.texts("#embedder option")
    expect(seen.page.get_by_role("link", name="Rerank")).to_have_attribute("aria-current", "page")
    seen.page.get_by_role("link", name="Compare texts").click()
    assert [SMALL] == seen.texts("#model option")
    seen.embed(["one", "two"])
    assert (2, 2) == seen.cosines().shape
    seen.page.go_back()

    expect(seen.page.get_by_label("Reranker")).to_be_visible()
    expect(seen.page.get_by_label("Prompt")).to_be_hidden()


def test_a_server_that_only_ranks(visit: Callable[..., Visit], scoring_home: Path, tmp_path: Path) -> None:
    (tmp_path / RERANKER).symlink_to(scoring_home / "artifacts" / RERANKER)
    with Server(["--artifacts", str(tmp_path)], {}, tmp_path) as server:
        server.wait_ready()
        seen = visit(server.url, view="")
        seen.rank(QUERY, DOCUMENTS)

        assert 5 == len(seen.texts("#reranked-list .text"))
        assert ["None"] == seen.texts("#embedder option")
        assert [] == seen.complaints


def test_a_server_that_does_not_rank(visit: Callable[..., Visit], server: Server) -> None:
    """The view says what it takes, and the other views work."""
    seen = visit(server.url, "rank")
    expect(seen.page.locator("#lacking")).to_contain_text("This view needs a reranker; this server has none.")
    expect(seen.page.get_by_label("Reranker")).to_be_hidden()
    seen.page.get_by_role("link", name="Search").click()
    seen.search("one", ["two"])

    expect(seen.page.locator("#lacking")).to_be_hidden()


@pytest.mark.parametrize(
    ("query", "documents", "field", "sentence"),
    [
        pytest.param(" ", ["a"], "Query", "There is no query yet: type what the texts are", id="query"),
        pytest.param("a", ["", " "], "Texts, one a line", "The texts are empty", id="documents"),
        pytest.param(
            "a",
            ["b"] * 2049,
            "Texts, one a line",
            "There are 2,049 texts and this page takes 2,048",
            id="many",
        ),
    ],
)
def test_bad_input(seen: Visit, query: str, documents: list[str], field: str, sentence: str) -> None:
    expect(seen.page.get_by_label("Reranker")).to_be_enabled()
    seen.page.get_by_label("Beside the order of").select_option(label="None")
    seen.rank(query, documents)

    assert seen.texts("#error")[0].startswith(sentence)
    assert "true" == seen.page.get_by_label(field, exact=True).get_attribute("aria-invalid")
    expect(seen.page.locator("#rank-view .answer")).to_be_hidden()
    seen.rank(QUERY, DOCUMENTS)
    assert [""] == seen.texts("#error")


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl is installed")
def test_the_shown_code_does_the_same(
    visit: Callable[..., Visit], scoring_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a server with keys: the key comes from the environment, and is in neither program."""
    monkeypatch.setenv("EMBED_ONNX_API_KEY", KEY)
    with Server(["--api-keys", KEY], {}, scoring_home) as server:
        server.wait_ready()
        seen = visit(server.url, "rank")
        seen.page.get_by_label("Key", exact=True).fill(KEY)
        seen.page.keyboard.press("Enter")
        seen.rank(QUERY, AWKWARD)
        code, command = (seen.texts(f"#rank-{name}")[0] for name in ("python", "curl"))
        names: dict[str, Any] = {}
        exec(code, names)
        done = subprocess.run(["sh", "-c", command], capture_output=True, check=True, env=os.environ)

    assert KEY not in code + command
    order = [each["index"] for each in names["results"]]
    assert [AWKWARD[place] for place in order] == seen.texts("#reranked-list .text")
    assert names["results"] == json.loads(done.stdout)["results"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_of_a_ranking(visit: Callable[..., Visit], scoring_server: Server, scheme: str) -> None:
    seen = visit(scoring_server.url, "rank", color_scheme=scheme)
    seen.rank(QUERY, DOCUMENTS)

    paper = seen.colours("body", "backgroundColor")
    for selector in (
        ".views a",
        "#rank-view h3",
        "#rank-view th",
        "#rank-view .index",
        "#rank-view .value",
        "#rank-view .moved span",
    ):
        assert contrast(paper, seen.colours(selector, "color")).min() >= 4.5, selector


@pytest.mark.parametrize("width", [320, 390, 768])
def test_a_ranking_on_narrow_screens(visit: Callable[..., Visit], scoring_server: Server, width: int) -> None:
    """The page never scrolls sideways, and the two orders stand one above the other."""
    seen = visit(scoring_server.url, "rank", viewport={"width": width, "height": 740}, has_touch=True)
    seen.rank(QUERY, ["a" * 300, *DOCUMENTS])

    wide, room = seen.page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= room
    above, below = (seen.page.locator(f"#{name}-list").bounding_box() for name in ("retrieved", "reranked"))
    assert above is not None
    assert below is not None
    assert above["y"] + above["height"] <= below["y"]
