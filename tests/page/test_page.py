"""The page at /: what is served, and what a real browser makes of it against a real server."""

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import browsing
import httpx
import numpy as np
import openai
import pytest
from browsing import Visit, contrast
from harness import MINILM, SMALL, Server
from playwright.sync_api import Browser, expect

from embed_onnx.http import playground as served

TEXTS = ["The cat sleeps.", "A cat is asleep.", "Shares fell on Monday.", "The market closed lower."]
DASH = "\N{EN DASH}"
"""What stands for a figure that is not known."""
AWKWARD = [
    """it's "quoted" \\ and \\n, $HOME `id` $(id) ${x} %s {x} !! ~ #""",
    "<img src=x onerror=alert(1)></script><b>bold</b> &amp;",
    "JSON",
    "naïve 日本語 🙂 tab\there",
    "unseen \u200b \u202e \u2028 \x7f \x9b end",
    "'''",
    '"""',
]
KEY = "sesame-7f3a"

PIXELS = """async (base64) => {
  const image = await createImageBitmap(await (await fetch("data:image/png;base64," + base64)).blob());
  const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
  canvas.drawImage(image, 0, 0);
  const bytes = canvas.getImageData(0, 0, image.width, image.height).data;
  const reader = new FileReader();
  const read = new Promise((done) => (reader.onload = done));
  reader.readAsDataURL(new Blob([bytes]));
  await read;
  return [image.width, image.height, reader.result.split(",")[1]];
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing.chromium() as opened:
        yield opened


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Callable[..., Visit]]:
    """Open the page with options of the browser's context, by default on the server for all tests."""
    contexts = []

    def open_page(url: str = server.url, **options: Any) -> Visit:
        contexts.append(browser.new_context(**options))
        return Visit(contexts[-1], url)

    yield open_page
    for context in contexts:
        context.close()


def vectors_of(client: httpx.Client, **body: Any) -> np.ndarray:
    answer = client.post("/v1/embeddings", json=body).raise_for_status().json()
    return np.array([item["embedding"] for item in answer["data"]])


# What is served


def test_every_file_is_served_and_no_other(client: httpx.Client) -> None:
    """The list of files is what the folder holds, each with its media type and the strict headers."""
    assert sorted(path.name for path in served.FOLDER.iterdir()) == sorted(served.FILES)
    for name in served.FILES:
        answer = client.get(f"/page/{name}")

        media_type = served.MEDIA_TYPES["." + name.rpartition(".")[2]]
        assert (200, media_type) == (answer.status_code, answer.headers["content-type"].partition(";")[0])
        assert (served.FOLDER / name).read_bytes() == answer.content
        assert served.HEADERS == {header: answer.headers[header] for header in served.HEADERS}
    assert client.get("/").content == client.get("/page/index.html").content


@pytest.mark.parametrize("path", ["/page/none.js", "/page/..%2fpage.py", "/page/__init__.py", "/page/"])
def test_no_other_file(client: httpx.Client, path: str) -> None:
    answer = client.get(path)

    assert (404, "invalid_request_error") == (answer.status_code, answer.json()["error"]["type"])


def test_a_file_that_the_browser_has_is_not_sent_again(client: httpx.Client) -> None:
    tag = client.get("/page/page.js").headers["etag"]

    same = client.get("/page/page.js", headers={"if-none-match": f'"other", W/{tag}'})
    other = client.get("/page/page.css", headers={"if-none-match": tag})

    assert (304, b"", tag) == (same.status_code, same.content, same.headers["etag"])
    assert 200 == other.status_code


def test_the_page_is_no_part_of_the_api(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]

    assert [] == [path for path in paths if path == "/" or path.startswith("/page")]


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
    """They are asked for only where the user chose them, and the vectors are the API's with them."""
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
    for body, shown in zip([plain, query, none], [by_default, by_query, seen.cosines()], strict=True):
        vectors = vectors_of(client, **(body | {"encoding_format": "float"}))
        assert np.allclose(vectors @ vectors.T, shown, atol=0.0051)
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
    left, strengths, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    shown, expected = (
        np.linalg.norm(points[:, None] - points[None], axis=2)
        for points in (np.array(places), left[:, :2] * strengths[:2])
    )
    assert np.allclose(expected / expected.max(), shown / shown.max(), atol=0.01)
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
    """The heat map shows the first and says so; the map and the counts have all."""
    texts = [f"the number {number} of many" for number in range(2000)]
    seen = visit()
    seen.page.get_by_label("Model").select_option(SMALL)
    paste(seen, texts)
    seen.embed()

    assert ["The first 24 of 2,000 texts; the map below has them all."] == seen.texts("#heat-note")
    assert (24, 24) == seen.cosines().shape
    assert 2000 == seen.page.locator("#map circle").count()
    assert 2000 == seen.page.locator("#tokens tbody tr").count()
    assert [] == seen.complaints


def paste(seen: Visit, texts: list[str]) -> None:
    """Put in many texts at once: typing thousands of lines takes a browser minutes."""
    seen.page.get_by_label("Texts, one a line").evaluate(
        "(field, text) => { field.value = text; field.dispatchEvent(new Event('input')); }", "\n".join(texts)
    )


def test_texts_are_never_markup(visit: Callable[..., Visit]) -> None:
    """What looks like HTML is shown as it was typed, and a string could not become markup if a bug tried."""
    seen = visit()
    seen.embed(["<img src=x onerror=alert(1)>", "<script>alert(2)</script>"])

    shown = ["<img src=x onerror=alert(1)>", "<script>alert(2)</script>"]
    assert shown == seen.texts("#tokens .text")
    assert 0 == seen.page.locator("main img, main script").count()
    refused = seen.page.evaluate(
        "() => { try { document.body.innerHTML = '<b>'; } catch (e) { return e.name; } }"
    )
    assert "TypeError" == refused


# The code that is shown


def test_shown_python_does_the_same(visit: Callable[..., Visit], client: httpx.Client) -> None:
    """The shown program runs as it is, whatever the texts hold, and gives the vectors of the request."""
    seen = visit()
    seen.page.get_by_label("Model").select_option(SMALL)
    seen.page.get_by_label("Prompt").select_option(label="query “search for: ”")
    seen.page.get_by_label("Dimensions").fill("9")
    seen.embed(AWKWARD)

    names: dict[str, Any] = {}
    exec(seen.texts("#python")[0], names)
    names["client"].close()
    body = seen.sent()[0]
    assert AWKWARD == body["input"]
    assert np.array_equal(vectors_of(client, **(body | {"encoding_format": "float"})), names["vectors"])
    assert isinstance(names["client"], openai.OpenAI)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl is installed")
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_shown_curl_does_the_same(visit: Callable[..., Visit], client: httpx.Client, shell: str) -> None:
    """Nothing of a text is expanded by the shell."""
    seen = visit()
    seen.page.get_by_label("Model").select_option(SMALL)
    seen.embed(AWKWARD)

    done = subprocess.run([shell, "-c", seen.texts("#curl")[0]], capture_output=True, check=True)
    answer = client.post("/v1/embeddings", json=seen.sent()[0]).json()
    assert answer["data"] == json.loads(done.stdout)["data"]


@pytest.mark.parametrize("name", ["curl", "python"])
def test_copying(visit: Callable[..., Visit], name: str) -> None:
    seen = visit(permissions=["clipboard-read", "clipboard-write"])
    seen.embed(AWKWARD)
    seen.page.locator(f"[data-copy={name}]").click()
    expect(seen.page.locator(f"[data-copy={name}]")).to_have_text("Copied")

    assert seen.texts(f"#{name}")[0] == seen.page.evaluate("() => navigator.clipboard.readText()")


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
    assert [{}, {}, "", f"{keyed.url}/"] == kept
    assert {"cookies": [], "origins": []} == seen.context.storage_state()
    assert KEY not in seen.page.content()
    assert "" == seen.page.locator("#key").input_value()
    assert [] == [request.url for request in seen.requests if KEY in request.url]
    assert f"Bearer {KEY}" == seen.requests[-1].headers["authorization"]
    for code in seen.texts("#curl, #python"):
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
    seen = Visit(context, server.url)
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
    seen = Visit(context, server.url)
    seen.page.get_by_role("button", name="Embed").click()
    seen.page.wait_for_selector("#results[aria-busy]")
    assert held
    context.unroute("**/v1/models")
    expect(seen.page.get_by_role("status")).to_contain_text("Embedded 8 texts")
    context.close()


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

    assert ["There is no text yet: type at least one line."] == seen.texts("#error")
    assert "true" == seen.page.get_by_label("Texts, one a line").get_attribute("aria-invalid")
    assert [] == seen.sent()
    seen.embed(["now"])
    assert [""] == seen.texts("#error")


def test_an_error_of_the_server_is_its_sentence(visit: Callable[..., Visit]) -> None:
    seen = visit()
    expect(seen.page.get_by_label("Model")).to_be_enabled()
    paste(seen, ["x"] * 2049)
    seen.embed()

    sentence = "Input has 2049 items and at most 2048 are taken; send several requests."
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
    paste(seen, ["several words that take a while to embed " * 5] * 2048)
    with seen.page.expect_request("**/v1/embeddings"):
        seen.page.get_by_role("button", name="Embed").click()
    with seen.page.expect_event("requestfailed") as failed:
        seen.embed(["another", "text"])

    assert 2048 == len(failed.value.post_data_json["input"])
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
    seen = Visit(context, server.url)
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
    asked = [request for request in seen.requests if request.url.endswith("/page/load")]
    assert [DASH] * 4 == seen.texts("[data-figure]")
    seen.page.get_by_label("Key", exact=True).fill(KEY)
    seen.page.keyboard.press("Enter")

    expect(seen.page.locator("[data-figure=memory]")).to_contain_text("MiB")
    assert 1 == len(asked)
    assert 401 == httpx.get(f"{keyed.url}/page/load").status_code


def test_requests_about_the_server_are_not_its_load(client: httpx.Client) -> None:
    before = client.get("/page/load").json()["requests_total"]
    for path in ("/health", "/ready", "/metrics", "/page/load"):
        client.get(path)
    client.get("/v1/models")

    assert 1 == client.get("/page/load").json()["requests_total"] - before


# How it looks


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_are_readable(visit: Callable[..., Visit], scheme: str) -> None:
    """In both schemes every text has contrast enough, and cells differ in colour as they do in value."""
    seen = visit(color_scheme=scheme)
    seen.embed()

    paper = seen.colours("body", "backgroundColor")
    cells = seen.colours(".heat tbody td", "backgroundColor")
    assert (paper.mean() < 60) == (scheme == "dark")
    assert contrast(cells, seen.colours(".heat tbody td", "color")).min() >= 4.5
    for selector in ("p", "dt", "dd", "label", "h2", "th", ".index", "a"):
        assert contrast(paper, seen.colours(f"body {selector}", "color")).min() >= 4.5, selector
    order = np.argsort(seen.cosines().ravel())
    brightness = cells.mean(axis=1)[order]
    steps = np.array([later - earlier for earlier, later in pairwise(brightness)])
    assert len(np.unique(cells, axis=0)) > 20
    assert (steps <= 12).all() if scheme == "light" else (steps >= -12).all()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_are_readable_on_every_colour(visit: Callable[..., Visit], scheme: str) -> None:
    """The whole scale in steps finer than the page's own, and more closely where the ink changes."""
    seen = visit(color_scheme=scheme)
    seen.embed(TEXTS[:1])
    inks = {tuple(ink) for ink in seen.scale(np.linspace(0, 1, 1001))[1]}
    coarse = np.linspace(0, 1, 1001)
    change = coarse[np.abs(np.diff(seen.scale(coarse)[1].mean(axis=1))).argmax()]
    for heats in (coarse, np.linspace(change, change + 0.001, 1001)):
        papers, ink = seen.scale(heats)

        assert contrast(papers, ink).min() >= 4.5
    assert {(0, 0, 0), (255, 255, 255)} == inks


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_screenshot(visit: Callable[..., Visit], browser: Browser, scheme: str) -> None:
    """The pixels of the heat map: the diagonal stands out from the unlike pairs."""
    seen = visit(color_scheme=scheme)
    seen.embed(TEXTS)

    same, unlike = (
        pixels(browser, seen.page.locator(".heat tbody td").nth(place).screenshot()) for place in (0, 2)
    )
    assert abs(np.median(same, axis=(0, 1)) - np.median(unlike, axis=(0, 1))).min() > 60
    whole = pixels(browser, seen.page.screenshot())
    assert len(np.unique(whole.reshape(-1, 3), axis=0)) > 100


def pixels(browser: Browser, png: bytes) -> np.ndarray:
    """A screenshot as RGB [height, width, 3]; the browser itself reads PNG."""
    reader = browser.new_page()
    width, height, data = reader.evaluate(PIXELS, base64.b64encode(png).decode())
    reader.close()
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)[..., :3].astype(float)


@pytest.mark.parametrize("width", [320, 360, 768])
def test_narrow_screens(visit: Callable[..., Visit], width: int) -> None:
    """The page itself never scrolls sideways, and fields are large enough that a phone does not zoom in."""
    seen = visit(viewport={"width": width, "height": 740}, has_touch=True)
    seen.embed(["a" * 300, "<- a word without an end", *TEXTS])

    wide, room = seen.page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= room
    if width < 640:
        size = seen.page.get_by_label("Model").evaluate(
            "(field) => parseFloat(getComputedStyle(field).fontSize)"
        )
        assert size >= 16


def test_results_do_not_move_the_form(visit: Callable[..., Visit]) -> None:
    """What one is about to click stays where it is, while models load and results arrive."""
    seen = visit(viewport={"width": 1280, "height": 900})
    button = seen.page.get_by_role("button", name="Embed")
    before = button.bounding_box()
    seen.embed()

    assert before == button.bounding_box()


def test_by_keyboard(visit: Callable[..., Visit]) -> None:
    """Everything is reached with the tab key, in the order it is read."""
    seen = visit()
    seen.embed(TEXTS)
    seen.page.get_by_role("link", name="API docs").focus()
    reached = []
    for _ in range(10):
        seen.page.keyboard.press("Tab")
        reached.append(
            seen.page.evaluate("() => document.activeElement.id || document.activeElement.textContent")
        )

    assert ["texts", "model", "prompt", "dimensions", "embed", "heat", "tokens", "Copy"] == reached[:8]
