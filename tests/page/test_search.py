"""The view that searches texts for a query, by a real browser at a real server."""

import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from browsing import Visit, paste
from harness import MINILM, SMALL, Server
from playwright.sync_api import Browser, Route, expect

QUERY = "numbers such as 12"
TEXTS = ["a few words", "stand beside letters", "12", "and some more words, commas and dots", "<b>words</b>"]


@pytest.fixture
def seen(visit: Callable[..., Visit]) -> Visit:
    """The view with the model that has prompts."""
    opened = visit(view="search")
    opened.page.get_by_label("Model").select_option(SMALL)
    return opened


def cosines_of(client: httpx.Client, query: str, texts: list[str]) -> np.ndarray:
    """Of each text with the query, by the API with the model's prompts for both."""

    def vectors(role: str, inputs: list[str]) -> np.ndarray:
        body = {"model": SMALL, "input": inputs, "prompt_name": role}
        data = client.post("/v1/embeddings", json=body).raise_for_status().json()["data"]
        units = np.array([item["embedding"] for item in data])
        return units / np.linalg.norm(units, axis=1, keepdims=True)

    return vectors("document", texts) @ vectors("query", [query])[0]


def test_hits_are_the_nearest_texts(seen: Visit, client: httpx.Client) -> None:
    """The order and the cosines of the API, with the model's prompt for queries and that for documents."""
    seen.search(QUERY, TEXTS)

    cosines = cosines_of(client, QUERY, TEXTS)
    order = np.argsort(-cosines, kind="stable")
    assert [TEXTS[place] for place in order] == seen.texts("#hits .text")
    values = [float(text.replace("\N{MINUS SIGN}", "-")) for text in seen.texts("#hits .value")]
    assert np.allclose(cosines[order], values, atol=0.0051)
    assert seen.texts("#hits-note")[0].startswith(
        f"{SMALL} reads “search for:” before the query, and “text:”"
    )
    assert seen.texts("#status")[0].startswith("Searched 5 texts in ")
    assert 0 == seen.page.locator("main b").count()
    assert [] == seen.complaints


def test_enter_in_the_query_searches(seen: Visit) -> None:
    seen.page.get_by_label("Query", exact=True).fill("a train at night")
    seen.page.get_by_label("Query", exact=True).press("Enter")
    seen.settle()

    assert 8 == len(seen.texts("#hits .text"))


def test_texts_are_embedded_once(seen: Visit) -> None:
    """Another query sends itself, a new line sends that line, and another model all of them."""
    seen.search(QUERY, TEXTS)
    seen.search("another")
    seen.search("another", ["a new line", *TEXTS[:3]])
    seen.page.get_by_label("Model").select_option(MINILM)
    seen.search("another")

    assert [
        ("document", TEXTS),
        ("query", [QUERY]),
        ("query", ["another"]),
        ("document", ["a new line"]),
        ("document", ["a new line", *TEXTS[:3]]),
        ("query", ["another"]),
    ] == [(body["prompt_name"], body["input"]) for body in seen.sent()]


def test_the_map_marks_the_query_and_the_hits(seen: Visit) -> None:
    """As many as ten; what is below the pointer in the list is marked on the map."""
    seen.search(QUERY, [f"text number {number}" for number in range(30)])

    assert 10 == seen.page.locator("#search-map circle.hit").count()
    assert 20 == seen.page.locator("#search-map circle.other").count()
    assert [f"Query{QUERY}"] == seen.texts("#search-map text.query")
    seen.page.locator("#hits tbody tr").nth(1).hover()
    second = seen.page.locator("#hits tbody tr").nth(1).get_attribute("data-index")
    expect(seen.page.locator("#search-map circle.linked")).to_have_attribute("data-index", str(second))
    seen.page.locator("#query").hover()
    expect(seen.page.locator("#search-map circle.linked")).to_have_count(0)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl is installed")
def test_the_shown_programs_find_the_same(seen: Visit, client: httpx.Client) -> None:
    """In Python, in JavaScript, and in a shell, where a request comes after the other."""
    seen.search(QUERY, TEXTS)
    names: dict[str, Any] = {}
    exec(seen.texts("#search-python")[0], names)
    names["client"].close()
    hits = seen.page.evaluate(f"async () => {{ {seen.texts('#search-javascript')[0]}\n return hits; }}")
    done = subprocess.run(["sh", "-c", seen.texts("#search-curl")[0]], capture_output=True, check=True)

    cosines = cosines_of(client, QUERY, TEXTS)
    order = [int(place) for place in np.argsort(-cosines, kind="stable")]
    for places in ([place for place, _ in names["hits"]], [place for place, _ in hits]):
        assert order == places
    assert np.allclose(cosines[order], [cosine for _, cosine in hits], atol=1e-6)
    decoder = json.JSONDecoder()
    documents, end = decoder.raw_decode(done.stdout.decode())
    question, _ = decoder.raw_decode(done.stdout.decode()[end:].lstrip())
    assert [5, 1] == [len(answer["data"]) for answer in (documents, question)]


def test_lists_progress_and_a_stop(browser: Browser, server: Server) -> None:
    """Many texts go in lists; after a stop, only those are sent that were not yet answered."""
    texts = [f"the number {number} of many" for number in range(300)]
    context = browser.new_context()
    held: list[Route] = []
    seen = Visit(context, f"{server.url}/#search")
    seen.page.get_by_label("Model").select_option(SMALL)
    paste(seen, texts)

    def hold_third(route: Route) -> None:
        if len(seen.sent()) == 3:
            held.append(route)
        else:
            route.continue_()

    context.route("**/v1/embeddings", hold_third)
    seen.page.get_by_role("button", name="Search", exact=True).click()
    expect(seen.page.locator("#progress-text")).to_have_text("128 of 300 texts")
    seen.page.get_by_role("button", name="Stop").click()
    expect(seen.page.get_by_role("status")).to_have_text("Stopped.")
    expect(seen.page.get_by_role("button", name="Stop")).to_be_hidden()
    expect(seen.page.locator("#search-view .answer")).to_be_hidden()
    context.unroute("**/v1/embeddings")
    seen.search()

    bodies = seen.sent()
    assert held
    assert texts[128:192] == bodies[2]["input"]
    assert texts[128:] == [text for body in bodies[3:-1] for text in body["input"]]
    assert "1" == seen.texts("#hits .index")[0]
    context.close()


@pytest.mark.parametrize(
    ("query", "texts", "field", "sentence"),
    [
        pytest.param(" ", ["a"], "Query", "There is no query yet", id="query"),
        pytest.param("a", [" "], "Texts, one a line", "The texts are empty", id="texts"),
        pytest.param(
            "a", ["b"] * 2049, "Texts, one a line", "There are 2,049 texts and this page", id="many"
        ),
    ],
)
def test_bad_input(seen: Visit, query: str, texts: list[str], field: str, sentence: str) -> None:
    seen.search(query, texts)

    assert seen.texts("#error")[0].startswith(sentence)
    assert "true" == seen.page.get_by_label(field, exact=True).get_attribute("aria-invalid")
    assert [] == seen.sent()
    seen.search(QUERY, TEXTS)
    assert [""] == seen.texts("#error")


@pytest.mark.parametrize("width", [320, 390, 768])
def test_hits_on_narrow_screens(visit: Callable[..., Visit], width: int) -> None:
    seen = visit(view="search", viewport={"width": width, "height": 740}, has_touch=True)
    seen.search(QUERY, ["a" * 300, *TEXTS])

    wide, room = seen.page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= room
    assert 6 == len(seen.texts("#hits .text"))
