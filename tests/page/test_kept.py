"""What the page keeps over a reload, and results that are of other inputs than the form has."""

import json
from collections.abc import Callable

import pytest
from browsing import Visit, paste
from harness import SMALL
from playwright.sync_api import expect

TEXTS = ["The cat sleeps.", "A cat is asleep."]


def stored(seen: Visit) -> dict[str, dict[str, str]]:
    items: dict[str, str] = seen.page.evaluate("() => ({...localStorage})")
    return {name: json.loads(value) for name, value in items.items()}


def test_a_reload_keeps_texts_and_choices(visit: Callable[..., Visit]) -> None:
    """The view, the query, the texts, the model and its options, below a name with the server's path."""
    seen = visit()
    seen.page.get_by_label("Model").select_option(SMALL)
    seen.page.get_by_label("Prompt").select_option(label="None")
    seen.page.get_by_label("Dimensions").fill("7")
    seen.type(TEXTS)
    seen.page.reload()
    seen.embed()

    assert [{"model": SMALL, "input": TEXTS, "encoding_format": "base64", "dimensions": 7, "prompt": ""}] == (
        seen.sent()
    )
    assert ["embed-onnx /"] == list(stored(seen))


def test_another_model_has_its_own_options(visit: Callable[..., Visit]) -> None:
    """What was chosen for the model of before is not applied to another one."""
    seen = visit()
    seen.page.get_by_label("Model").select_option(SMALL)
    seen.page.get_by_label("Dimensions").fill("7")
    seen.page.get_by_label("Model").select_option("all-MiniLM-L6-v2")
    seen.page.reload()
    expect(seen.page.get_by_label("Model")).to_be_enabled()

    assert "384" == seen.page.get_by_label("Dimensions").input_value()


def test_examples_come_back_and_nothing_is_kept(visit: Callable[..., Visit]) -> None:
    seen = visit(view="search")
    expect(seen.page.get_by_label("Model")).to_be_enabled()
    seen.page.get_by_label("Query", exact=True).fill("mine")
    seen.type(TEXTS)
    seen.page.reload()
    expect(seen.page.get_by_label("Query", exact=True)).to_have_value("mine")
    seen.page.get_by_role("button", name="Examples").click()

    expect(seen.page.get_by_label("Query", exact=True)).to_have_value("How do I reset my password?")
    assert {} == stored(seen)
    seen.page.reload()
    assert ["8 texts"] == seen.texts("#count")


def test_more_than_the_browser_stores(visit: Callable[..., Visit]) -> None:
    """Then the page works as without it."""
    seen = visit()
    seen.embed(TEXTS)
    paste(seen, ["a" * 12_000_000])
    seen.page.wait_for_function("() => localStorage.length === 0")
    seen.embed(TEXTS)

    assert (2, 2) == seen.cosines().shape
    assert [] == seen.complaints


@pytest.mark.parametrize("content", ["no JSON", "[]", "null", '{"model": 3, "texts": null}'])
def test_a_store_that_is_damaged(visit: Callable[..., Visit], content: str) -> None:
    seen = visit()
    seen.page.evaluate("(text) => localStorage.setItem('embed-onnx /', text)", content)
    seen.page.reload()
    seen.embed()

    assert (8, 8) == seen.cosines().shape
    assert [] == seen.complaints


def test_results_of_other_inputs_are_marked(visit: Callable[..., Visit]) -> None:
    """From the first change, until they are the same again or there are new ones; in each view by itself."""
    seen = visit()
    mark = seen.page.locator("#stale")
    seen.embed(TEXTS)
    expect(mark).to_be_hidden()
    seen.type([*TEXTS, "third"])
    expect(mark).to_have_text("The form has changed since. Embed again for its results.")
    seen.type(TEXTS)
    expect(mark).to_be_hidden()
    seen.page.get_by_label("Model").select_option(SMALL)
    expect(mark).to_be_visible()
    seen.page.get_by_role("link", name="Search").click()
    expect(mark).to_be_hidden()
    seen.page.get_by_role("link", name="Compare texts").click()
    expect(mark).to_be_visible()
    seen.embed()

    expect(mark).to_be_hidden()
