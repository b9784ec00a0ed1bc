"""What the page shows of texts, by a real browser at a real server."""

from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from browsing import Visit, paste
from harness import MINILM, SMALL
from playwright.sync_api import expect

from embed_onnx.http import playground as served

TEXTS = ["The cat sleeps.", "A cat is asleep.", "Shares fell on Monday.", "The market closed lower."]
DASH = "\N{EN DASH}"
"""What stands for a figure that is not known."""


def vectors_of(client: httpx.Client, **body: Any) -> np.ndarray:
    answer = client.post("/v1/embeddings", json=body).raise_for_status().json()
    return np.array([item["embedding"] for item in answer["data"]])


# What is shown
def test_similarities_counts_and_timings(visit: Callable[..., Visit], client: httpx.Client) -> None:
    """The table holds the cosines of the API's vectors; every text has its tokens; every stage its time."""
    seen = visit()
    seen.embed(TEXTS)

    vectors = vectors_of(client, model=MINILM, input=TEXTS)
    usage = client.post("/v1/embeddings", json={"model": MINILM, "input": TEXTS}).json()
    assert np.allclose(vectors @ vectors.T, seen.cosines(), atol=0.0051)
    assert ["1", "2", "3", "4"] == seen.texts(".heat thead th")
    assert [f"{number} {text}" for number, text in enumerate(TEXTS, 1)] == seen.texts(".heat tbody th")
    assert [str(item["num_tokens"]) for item in usage["data"]] == seen.texts("#tokens .count")
    assert [MINILM, "4", str(usage["usage"]["total_tokens"]), "384"] == seen.texts("#figures dd")[:4]
    assert ["tokenize", "queue", "infer", "network and browser"] == seen.texts("#timings dt")
    assert seen.texts("#status")[0].startswith("Embedded 4 texts, ")
    assert [{"model": MINILM, "input": TEXTS, "encoding_format": "base64"}] == seen.sent()


def test_the_examples_embed_at_once(visit: Callable[..., Visit]) -> None:
    """Prefilled texts, Ctrl+Enter, no complaint in the console, and no request to another host."""
    seen = visit()
    expect(seen.page.get_by_label("Model")).to_be_enabled()
    seen.page.get_by_label("Texts, one a line").press("Control+Enter")
    expect(seen.page.get_by_role("status")).to_contain_text("Embedded 8 texts")
    expect(seen.page.locator("#load [data-figure=tokens]")).not_to_have_text(DASH)

    assert 8 == len(seen.cosines())
    assert [] == seen.complaints
    assert len(seen.requests) > len(served.FILES)
    assert [] == [request.url for request in seen.requests if not request.url.startswith(server_of(seen))]


def server_of(seen: Visit) -> str:
    return str(seen.page.evaluate("() => location.origin")) + "/"


def test_a_text_that_was_cut_is_marked(visit: Callable[..., Visit]) -> None:
    seen = visit()
    seen.embed(["short", "word " * 400])

    assert ["3", "256 cut"] == seen.texts("#tokens .count")
    assert (
        "1 text is longer than the model\N{RIGHT SINGLE QUOTATION MARK}s limit of 256 tokens and cut there."
        == seen.texts("#tokens-note")[0]
    )


def test_prompt_and_dimensions(visit: Callable[..., Visit], client: httpx.Client) -> None:
    """They are requested only where the user set them, and the vectors are the API's with them."""
    seen = visit()
    seen.page.get_by_label("Model").select_option(SMALL)
    seen.embed(TEXTS)
    by_default = seen.cosines()
    seen.page.get_by_label("Prompt").select_option(label="query “search for: ”")
    seen.page.get_by_label("Dimensions").fill("5")
    seen.embed()
    by_query = seen.cosines()
    seen.page.get_by_label("Prompt").select_option(label="None")
    seen.embed()

    plain = {"model": SMALL, "input": TEXTS, "encoding_format": "base64"}
    query, none = plain | {"dimensions": 5, "prompt_name": "query"}, plain | {"dimensions": 5, "prompt": ""}
    assert [plain, query, none] == seen.sent()
    for body, cosines in zip([plain, query, none], [by_default, by_query, seen.cosines()], strict=True):
        vectors = vectors_of(client, **(body | {"encoding_format": "float"}))
        assert np.allclose(vectors @ vectors.T, cosines, atol=0.0051)
    assert "5" == seen.texts("#figures dd")[3]


def test_dimensions_beyond_the_model_are_not_sent(visit: Callable[..., Visit]) -> None:
    """The browser itself says what the field takes."""
    seen = visit()
    seen.page.get_by_label("Model").select_option(SMALL)
    seen.page.get_by_label("Dimensions").fill("33")
    seen.embed()

    assert [] == seen.sent()
    assert "rangeOverflow" == seen.page.get_by_label("Dimensions").evaluate(
        "(field) => Object.keys(ValidityState.prototype).find((name) => field.validity[name])"
    )


def test_the_map_keeps_distances(visit: Callable[..., Visit], client: httpx.Client) -> None:
    """Points lie as the first two principal components say, and labels do not cover each other."""
    seen = visit()
    seen.embed()

    places = seen.page.locator("#map circle").evaluate_all(
        "(dots) => dots.map((dot) => [dot.cx.baseVal.value, dot.cy.baseVal.value])"
    )
    vectors = vectors_of(client, model=MINILM, input=seen.sent()[0]["input"])
    directions, strengths, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    drawn, expected = (
        np.linalg.norm(points[:, None] - points[None], axis=2)
        for points in (np.array(places), directions[:, :2] * strengths[:2])
    )
    assert np.allclose(expected / expected.max(), drawn / drawn.max(), atol=0.01)
    boxes = seen.page.locator("#map text").evaluate_all(
        "(all) => all.map((label) => label.getBBox()).map((box) => [box.x, box.y, box.width, box.height])"
    )
    assert len(boxes) == 8
    assert [] == [
        (one, other) for one in boxes for other in boxes if one is not other and overlap(one, other)
    ]


def overlap(one: list[float], other: list[float]) -> bool:
    """Whether two boxes (left, top, width, height) share more than a hair."""
    sides = [(one[axis] + one[axis + 2], other[axis] + other[axis + 2], axis) for axis in (0, 1)]
    return all(min(ends[0], ends[1]) - max(one[ends[2]], other[ends[2]]) > 2 for ends in sides)


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        pytest.param(["alone"], "One text alone has nothing to be near to; add another.", id="one"),
        pytest.param(["same"] * 3, "All of these texts have the same vector.", id="identical"),
    ],
)
def test_texts_without_a_map(visit: Callable[..., Visit], texts: list[str], sentence: str) -> None:
    """Nothing is divided by nothing: the points are in the middle and every cosine is 1."""
    seen = visit()
    seen.embed(texts)

    assert [sentence] == seen.texts("#map-note")
    assert np.array_equal(np.ones((len(texts), len(texts))), seen.cosines())
    width, height = (seen.page.locator("#map svg").get_attribute(name) for name in ("width", "height"))
    centres = seen.page.locator("#map circle").evaluate_all(
        "(dots) => dots.map((dot) => [dot.cx.baseVal.value, dot.cy.baseVal.value])"
    )
    assert np.allclose([[float(width) / 2, float(height) / 2]] * len(texts), centres, atol=0.1)
    assert [] == seen.complaints


def test_two_thousand_texts(visit: Callable[..., Visit]) -> None:
    """The heat map shows the first and says so; the map has all, and the counts as far as one scrolls."""
    texts = [f"the number {number} of many" for number in range(2000)]
    seen = visit()
    seen.page.get_by_label("Model").select_option(SMALL)
    paste(seen, texts)
    seen.embed()

    assert ["The first 24 of 2,000 texts; the map below has them all."] == seen.texts("#heat-note")
    assert (24, 24) == seen.cosines().shape
    assert 2000 == seen.page.locator("#map circle").count()
    rows = seen.page.locator("#tokens tbody tr")
    assert 100 > rows.count()
    while rows.count() < 2000:
        count = rows.count()
        seen.page.locator("#tokens").evaluate("(place) => place.scrollTo(0, place.scrollHeight)")
        expect(rows).not_to_have_count(count)
    assert texts == seen.texts("#tokens .text")
    assert [] == seen.complaints


def test_texts_are_never_markup(visit: Callable[..., Visit]) -> None:
    """What looks like HTML is shown as it was typed, and a string could not become markup if a bug tried."""
    seen = visit()
    seen.embed(["<img src=x onerror=alert(1)>", "<script>alert(2)</script>"])

    markup = ["<img src=x onerror=alert(1)>", "<script>alert(2)</script>"]
    assert markup == seen.texts("#tokens .text")
    assert 0 == seen.page.locator("main img, main script").count()
    refused = seen.page.evaluate(
        "() => { try { document.body.innerHTML = '<b>'; } catch (e) { return e.name; } }"
    )
    assert "TypeError" == refused


def test_a_worker_runs_the_page_s_own_script(visit: Callable[..., Visit]) -> None:
    """Whatever address a bug might pass on; and no second policy lets another one through."""
    seen = visit()
    seen.embed(TEXTS)
    attempts = (
        "new Worker('data:text/javascript,1')",
        "trustedTypes.createPolicy('default', {})",
        "trustedTypes.createPolicy('worker', {})",
    )
    names = [
        seen.page.evaluate(f"() => {{ try {{ {attempt}; }} catch (err) {{ return err.name; }} }}")
        for attempt in attempts
    ]

    assert ["TypeError"] * 3 == names


def test_only_models_are_offered(visit: Callable[..., Visit]) -> None:
    """Their aliases would be the same again."""
    seen = visit()
    expect(seen.page.get_by_label("Model")).to_be_enabled()

    assert [MINILM, SMALL] == seen.texts("#model option")


def test_dimensions_cannot_be_left_out(visit: Callable[..., Visit]) -> None:
    seen = visit()
    expect(seen.page.get_by_label("Model")).to_be_enabled()
    seen.page.get_by_label("Dimensions").fill("")
    seen.embed()

    assert [] == seen.sent()


def test_no_text_is_no_request(visit: Callable[..., Visit]) -> None:
    seen = visit()
    seen.embed(["", "   "])

    assert ["The texts are empty: type at least one line."] == seen.texts("#error")
    assert "true" == seen.page.get_by_label("Texts, one a line").get_attribute("aria-invalid")
    assert [] == seen.sent()
    seen.embed(["now"])
    assert [""] == seen.texts("#error")
