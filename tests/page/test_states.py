"""The page of a server with keys, under load, with an error, or gone."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from browsing import Visit, paste
from harness import MINILM, Server, numbered
from playwright.sync_api import Browser, expect

TEXTS = ["The cat sleeps.", "A cat is asleep.", "Shares fell on Monday.", "The market closed lower."]
DASH = "\N{EN DASH}"
"""What stands for a figure that is not known."""
KEY = "sesame-7f3a"


# Keys, errors, and servers that come and go
def test_a_server_with_keys(visit: Callable[..., Visit], serve: Callable[..., Server]) -> None:
    """The page asks for a key, sends it as Bearer, and leaves it nowhere."""
    keyed = serve("--api-keys", KEY)
    seen = visit(keyed.url)
    dialog = seen.page.get_by_role("dialog")
    expect(dialog).to_contain_text("This server asks for an API key")
    seen.page.get_by_label("Key", exact=True).fill("wrong")
    seen.page.keyboard.press("Enter")
    expect(dialog).to_contain_text("This API key is unknown here")
    assert "" == seen.page.get_by_label("Key", exact=True).input_value()
    seen.page.get_by_label("Key", exact=True).fill(KEY)
    seen.page.get_by_role("button", name="Use this key").click()
    expect(dialog).to_be_hidden()
    seen.embed(TEXTS)

    assert (4, 4) == seen.cosines().shape
    kept = seen.page.evaluate(
        "() => [{...localStorage}, {...sessionStorage}, document.cookie, location.href]"
    )
    assert [{}, "", f"{keyed.url}/#compare"] == kept[1:]
    assert KEY not in json.dumps(kept)
    assert KEY not in json.dumps(seen.context.storage_state())
    assert KEY not in seen.page.content()
    assert "" == seen.page.locator("#key").input_value()
    assert [] == [request.url for request in seen.requests if KEY in request.url]
    sent = [request for request in seen.requests if request.url.endswith("/v1/embeddings")]
    assert [f"Bearer {KEY}"] == [request.headers["authorization"] for request in sent]
    for code in seen.texts("#curl, #python, #javascript"):
        assert "EMBED_ONNX_API_KEY" in code
    environment = os.environ | {"EMBED_ONNX_API_KEY": KEY}
    done = subprocess.run(
        ["sh", "-c", seen.texts("#curl")[0]], env=environment, capture_output=True, check=True
    )
    assert 4 == len(json.loads(done.stdout)["data"])


def test_a_key_that_nobody_gives(visit: Callable[..., Visit], serve: Callable[..., Server]) -> None:
    """The dialog can be left; the server's sentence stays, and the key can be given later."""
    seen = visit(serve("--api-keys", KEY).url)
    expect(seen.page.get_by_role("dialog")).to_be_visible()
    seen.page.keyboard.press("Escape")
    expect(seen.page.get_by_role("alert")).to_contain_text("This server asks for an API key")
    seen.page.get_by_role("button", name="API key").click()
    seen.page.get_by_label("Key", exact=True).fill(KEY)
    seen.page.keyboard.press("Enter")

    expect(seen.page.get_by_label("Model")).to_have_value(MINILM)
    expect(seen.page.get_by_role("alert")).to_be_hidden()


def test_a_cancelled_key_can_be_given_by_embedding(
    visit: Callable[..., Visit], serve: Callable[..., Server]
) -> None:
    """Embed asks for the models once more, and so for the key, and not for a field that nobody can fill."""
    seen = visit(serve("--api-keys", KEY).url)
    expect(seen.page.get_by_role("dialog")).to_be_visible()
    seen.page.get_by_role("button", name="Cancel").click()
    seen.page.get_by_role("button", name="Embed").click()
    expect(seen.page.get_by_role("dialog")).to_contain_text("This server asks for an API key")
    assert ["not known", "not known"] == seen.texts("#model option, #prompt option")
    seen.page.get_by_label("Key", exact=True).fill(KEY)
    seen.page.keyboard.press("Enter")
    expect(seen.page.get_by_role("status")).to_contain_text("Embedded 8 texts")

    expect(seen.page.get_by_label("Model")).to_have_value(MINILM)
    assert "384" == seen.page.get_by_label("Dimensions").input_value()


@pytest.mark.parametrize("status", [502, 503])
def test_embedding_before_the_models_are_known(browser: Browser, server: Server, status: int) -> None:
    """A page that was opened while they could not be listed says why, and works once they can."""
    context = browser.new_context()
    fails = [True]
    context.route(
        "**/v1/models", lambda route: route.fulfill(status=status, body="") if fails else route.continue_()
    )
    seen = Visit(context, f"{server.url}/#compare")
    expect(seen.page.get_by_role("alert")).to_contain_text(f"The server answered {status}")
    seen.page.get_by_role("button", name="Embed").click()
    expect(seen.page.get_by_role("alert")).to_contain_text(f"The server answered {status}")
    fails.clear()
    seen.page.get_by_role("button", name="Embed").click()
    expect(seen.page.get_by_role("status")).to_contain_text("Embedded 8 texts")

    assert (8, 8) == seen.cosines().shape
    context.close()


def test_embedding_while_the_models_are_asked_for(browser: Browser, server: Server) -> None:
    """A click that comes before the list does is not lost."""
    context = browser.new_context()
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    context.route("**/v1/models", hold)
    seen = Visit(context, f"{server.url}/#compare")
    seen.page.get_by_role("button", name="Embed").click()
    seen.page.wait_for_selector("#results[aria-busy]")
    assert held
    context.unroute("**/v1/models")
    expect(seen.page.get_by_role("status")).to_contain_text("Embedded 8 texts")
    context.close()


def test_an_error_of_the_server_is_its_sentence(visit: Callable[..., Visit]) -> None:
    seen = visit()
    expect(seen.page.get_by_label("Model")).to_be_enabled()
    paste(seen, ["x" * 1_000_001])
    seen.embed()

    sentence = "Input[0] has 1000001 characters and at most 1000000 are taken; send it in parts."
    assert [sentence] == seen.texts("#error")


def test_a_server_that_goes_away(visit: Callable[..., Visit], serve: Callable[..., Server]) -> None:
    """It is said in a sentence, the load becomes dashes, and all goes on once the server is back."""
    first = serve()
    address = first.url.removeprefix("http://")
    seen = visit(first.url)
    expect(seen.page.locator("[data-figure=memory]")).to_contain_text("MiB")
    first.kill()
    seen.embed(TEXTS)
    sentence = f"{address} does not answer; see whether the server still runs, then try again."
    assert [sentence] == seen.texts("#error")
    expect(seen.page.locator("[data-figure=memory]")).to_have_text(DASH)

    serve("--port", address.rpartition(":")[2])
    seen.embed()
    assert (4, 4) == seen.cosines().shape
    expect(seen.page.locator("[data-figure=memory]")).to_contain_text("MiB")


def test_a_new_request_gives_up_the_old_one(visit: Callable[..., Visit]) -> None:
    seen = visit()
    expect(seen.page.get_by_label("Model")).to_be_enabled()
    paste(seen, numbered("several words that take a while to embed " * 5, 2048))
    with seen.page.expect_request("**/v1/embeddings"):
        seen.page.get_by_role("button", name="Embed").click()
    with seen.page.expect_event("requestfailed") as failed:
        seen.embed(["another", "text"])

    assert "several words" in failed.value.post_data
    assert (2, 2) == seen.cosines().shape
    assert [""] == seen.texts("#error")


def test_the_load(visit: Callable[..., Visit]) -> None:
    """Figures and lines of the server's own metrics."""
    seen = visit()
    for name in ("tokens", "requests", "queued", "memory"):
        expect(seen.page.locator(f"[data-figure={name}]")).to_have_text(re.compile(r"^[\d,.]+( MiB)?$"))
        expect(seen.page.locator(f"[data-figure={name}] polyline")).to_have_attribute(
            "points", re.compile(r"^[\d.]+,[\d.]+")
        )


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"json": {"other": 1}}, id="other-names"),
        pytest.param({"body": "no JSON"}, id="no-json"),
        pytest.param({"status": 404, "body": "<html>"}, id="absent"),
    ],
)
def test_a_load_that_the_page_does_not_know(
    visit: Callable[..., Visit], browser: Browser, server: Server, answer: dict[str, Any]
) -> None:
    """It gives dashes, and nothing breaks."""
    context = browser.new_context()
    context.route("**/page/load", lambda route: route.fulfill(**answer))
    seen = Visit(context, f"{server.url}/#compare")
    with seen.page.expect_response("**/page/load"):
        pass
    seen.embed(TEXTS)

    assert [DASH] * 4 == seen.texts("[data-figure]")
    assert [] == [line for line in seen.complaints if "404" not in line]
    context.close()


def test_the_load_of_a_server_with_keys(visit: Callable[..., Visit], serve: Callable[..., Server]) -> None:
    """Nobody without a key hears of it, nor asks again and again; with one it is there at once."""
    keyed = serve("--api-keys", KEY)
    seen = visit(keyed.url)
    expect(seen.page.get_by_role("dialog")).to_be_visible()
    polls = [request for request in seen.requests if request.url.endswith("/page/load")]
    assert [DASH] * 4 == seen.texts("[data-figure]")
    seen.page.get_by_label("Key", exact=True).fill(KEY)
    seen.page.keyboard.press("Enter")

    expect(seen.page.locator("[data-figure=memory]")).to_contain_text("MiB")
    assert 1 == len(polls)
    assert 401 == httpx.get(f"{keyed.url}/page/load").status_code
