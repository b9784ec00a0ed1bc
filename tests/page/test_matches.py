"""The view of token matches, by a real browser at a real server."""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from browsing import Visit, paste
from harness import COLBERT, START_SECONDS, Server, numbered
from msgspec.structs import replace
from playwright.sync_api import Page, expect

from embed_onnx.artifact import manifest

QUERY = "how do words stand"
SHORT = "12"
"""A query that the model fills up with mask tokens."""
TEXTS = ["a few words", "<b>numbers</b> such as 12", "word " * 100, "how words, and letters, stand."]


@pytest.fixture
def seen(visit: Callable[..., Visit], tokens_server: Server) -> Visit:
    visited = visit(tokens_server.url, "matches")
    expect(visited.page.get_by_label("Matched by")).to_be_enabled()
    return visited


@pytest.fixture
def api(tokens_server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=tokens_server.url, timeout=START_SECONDS) as opened:
        yield opened


def embedded(api: httpx.Client, texts: list[str], role: str) -> list[tuple[list[str], np.ndarray]]:
    """Of each text the tokens and their vectors."""
    body = {"model": COLBERT, "input": texts, "prompt_name": role, "return_tokens": True}
    data = api.post("/v1/token_embeddings", json=body).raise_for_status().json()["data"]
    return [(item["tokens"], np.array(item["embeddings"])) for item in data]


def ranked(api: httpx.Client, query: str, texts: list[str]) -> list[tuple[int, float]]:
    body = {"model": COLBERT, "query": query, "documents": texts}
    results = api.post("/v1/rerank", json=body).raise_for_status().json()["results"]
    return [(item["index"], item["relevance_score"]) for item in results]


def scores(seen: Visit) -> list[float]:
    return [float(text.split()[0]) for text in seen.page.locator("#matches-list .value").all_inner_texts()]


@pytest.mark.parametrize("query", [QUERY, SHORT])
def test_texts_by_their_scores(seen: Visit, api: httpx.Client, query: str) -> None:
    """In the order of the server's own ranks, with its scores, and with the tokens that have vectors."""
    seen.send("Match", query, TEXTS)

    results = ranked(api, query, TEXTS)
    tokens = embedded(api, TEXTS, "document")
    for place, (index, _) in enumerate(results):
        row = seen.page.locator("#matches-list tbody tr").nth(place)
        assert tokens[index][0] == row.locator(".tokens span").all_text_contents()
        assert (index == 2) == (row.locator("mark").count() == 1)
    np.testing.assert_allclose(scores(seen), [score for _, score in results], rtol=1e-3, atol=0.005)
    assert [COLBERT, str(len(TEXTS)), "2"] == seen.texts("#matches-figures dd")[:3]
    assert [] == seen.complaints


def test_scores_are_those_of_the_server(seen: Visit, api: httpx.Client) -> None:
    """Before they are rounded: what the page computes, of vectors as it requests them.

    A float16 is within 2**-11 of the number, so that a product of unit vectors is within 0.0005.
    """
    fields = {"model": COLBERT, "encoding_format": "base64"}
    texts = numbered("words of many kinds, and letters", 20)
    bodies = [
        fields | {"input": [SHORT], "prompt_name": "query"},
        fields | {"input": texts, "prompt_name": "document", "output_dtype": "float16"},
    ]
    (query,), documents = (api.post("/v1/token_embeddings", json=body).json()["data"] for body in bodies)
    program = """async ([query, documents]) => {
      const { matches } = await import("/page/maxsim.js");
      return matches(query, documents).map(({ score }) => score);
    }"""
    computed = seen.page.evaluate(program, [query, documents])

    expected = dict(ranked(api, SHORT, texts))
    np.testing.assert_allclose(computed, [expected[place] for place in range(20)], rtol=1e-3)


def test_a_text_without_vectors_matches_nothing(seen: Visit) -> None:
    nothing = {"embeddings": "", "shape": [0, 16], "dtype": "float16"}
    program = """async (nothing) => (await import("/page/maxsim.js")).matches(nothing, [nothing])"""

    assert [None] == seen.page.evaluate(program, nothing)


def test_every_float16(seen: Visit) -> None:
    """Read as NumPy reads them: infinities, subnormal numbers and both zeros among them."""
    numbers = np.arange(2**16, dtype=np.uint16).view(np.float16)
    program = """async (text) => {
      const { decode } = await import("/page/base64.js");
      return [...new Uint8Array(decode(text, "float16").buffer)];
    }"""
    read = seen.page.evaluate(program, base64.b64encode(numbers.tobytes()).decode())

    np.testing.assert_array_equal(
        np.array(read, np.uint8).view(np.float32), numbers.astype(np.float32), strict=True
    )


def expected_match(api: httpx.Client, query: str, text: str, place: int) -> tuple[int, tuple[str, float]]:
    """Which token of a text a token of the query matches; and what the page says of that, and how similar."""
    ((words, rows),) = embedded(api, [query], "query")
    ((others, vectors),) = embedded(api, [text], "document")
    products = vectors @ rows[place]
    best = int(products.argmax())
    return best, (f"“{words[place]}” matches “{others[best]}”, similarity", products[best])


def assert_says(sentence: str, expected: tuple[str, float]) -> None:
    words, _, number = sentence.rpartition(" ")
    assert words.endswith(expected[0])
    assert float(number.removesuffix(".")) == pytest.approx(expected[1], abs=0.006)


def press(page: Page, place: int) -> None:
    page.locator("#query-tokens button").nth(place).click()


def point(page: Page, place: int) -> None:
    page.locator("#query-tokens button").nth(place).hover()


def tab(page: Page, place: int) -> None:
    page.get_by_role("link", name="API docs").focus()
    while page.evaluate("() => document.activeElement.parentElement.id") != "query-tokens":
        page.keyboard.press("Tab")
    for _ in range(place):
        page.keyboard.press("Tab")


@pytest.mark.parametrize("choose", [press, point, tab])
def test_what_a_token_of_the_query_matched(
    seen: Visit, api: httpx.Client, choose: Callable[[Page, int], None]
) -> None:
    """Marked in each text, and said below it."""
    seen.send("Match", QUERY, TEXTS)
    assert 0 == seen.page.locator("#matches-list .best").count()
    choose(seen.page, 3)

    order = [index for index, _ in ranked(api, QUERY, TEXTS)]
    for place, index in enumerate(order):
        best, match = expected_match(api, QUERY, TEXTS[index], 3)
        row = seen.page.locator("#matches-list tbody tr").nth(place)
        tokens = row.locator(".tokens span").evaluate_all("(all) => all.map((each) => each.className)")
        assert [best] == [at for at, name in enumerate(tokens) if "best" in name.split()]
        assert_says(row.locator(".tokens p").inner_text(), match)
    assert_says(seen.texts("#matches-hint")[0], expected_match(api, QUERY, TEXTS[order[0]], 3)[1])


def test_a_pressed_token_stays_marked(seen: Visit) -> None:
    """While others are pointed at, until it is pressed again."""
    seen.send("Match", QUERY, TEXTS)
    hint = seen.page.locator("#matches-hint")
    nothing = hint.text_content()
    press(seen.page, 2)
    pressed = hint.text_content()
    point(seen.page, 4)
    assert pressed != hint.text_content()
    seen.page.get_by_role("heading", name="Matches").hover()
    expect(hint).to_have_text(pressed)
    assert ["true"] == [
        state
        for button in seen.page.locator("#query-tokens button").all()
        if (state := button.get_attribute("aria-pressed")) == "true"
    ]
    press(seen.page, 2)
    seen.page.get_by_role("heading", name="Matches").hover()
    seen.page.get_by_label("Query", exact=True).focus()

    expect(hint).to_have_text(nothing)


def test_an_expansion_is_one_part(seen: Visit, api: httpx.Client) -> None:
    seen.send("Match", SHORT, TEXTS)
    ((words, _),) = embedded(api, [SHORT], "query")
    own = [word for word in words if word != "[MASK]"]
    label = f"{len(words) - len(own)} \N{MULTIPLICATION SIGN} [MASK]"
    assert [*own, label] == seen.texts("#query-tokens button")
    seen.page.get_by_role("button", name=label).click()

    assert "fills a query up with [MASK] tokens" in seen.texts("#matches-note")[0]
    assert "of its tokens" in seen.texts("#matches-hint")[0]
    assert seen.page.locator("#matches-list .best").count() >= len(TEXTS)


def test_another_query_sends_only_itself(seen: Visit) -> None:
    seen.send("Match", QUERY, TEXTS)
    seen.send("Match", SHORT, None)

    sent = seen.sent("/v1/token_embeddings")
    assert [TEXTS, [QUERY], [SHORT]] == [body["input"] for body in sent]
    assert ["float16", None, None] == [body.get("output_dtype") for body in sent]


def test_results_of_other_texts_are_marked(seen: Visit) -> None:
    seen.send("Match", QUERY, TEXTS)
    expect(seen.page.locator("#stale")).to_be_hidden()
    seen.page.get_by_label("Query", exact=True).fill("another")

    expect(seen.page.locator("#stale")).to_contain_text("Match again")


def test_many_texts(seen: Visit) -> None:
    """Rows are drawn as they are scrolled to, with the token that was pressed before; more are refused."""
    paste(seen, numbered("words of many kinds, and letters beside them " * 4, 256))
    seen.send("Match", QUERY, None)
    rows = seen.page.locator("#matches-list tbody tr")
    press(seen.page, 1)
    assert 5 < rows.count() < 100
    while (drawn := rows.count()) < 256:
        rows.last.scroll_into_view_if_needed()
        expect(rows.nth(drawn)).to_be_attached()
    assert 256 == seen.page.locator("#matches-list .best").count()
    paste(seen, ["text"] * 257)
    seen.send("Match", QUERY, None)

    assert seen.texts("#error")[0].startswith("There are 257 texts and this view takes 256; leave some out")


@pytest.mark.parametrize("width", [320, 390, 768])
def test_matches_on_narrow_screens(visit: Callable[..., Visit], tokens_server: Server, width: int) -> None:
    seen = visit(tokens_server.url, "matches", viewport={"width": width, "height": 740}, has_touch=True)
    expect(seen.page.get_by_label("Matched by")).to_be_enabled()
    seen.send("Match", QUERY, ["a" * 300, *TEXTS])
    press(seen.page, 1)

    wide, room = seen.page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= room


def test_errors_are_sentences(seen: Visit) -> None:
    for query, texts, sentence in (
        (" ", TEXTS, "There is no query yet"),
        (QUERY, [" "], "The texts are empty"),
        (QUERY, ["a" * 1_000_001], "Input[0] has 1000001 characters"),
    ):
        seen.page.get_by_label("Query", exact=True).fill(query)
        paste(seen, texts)
        seen.send("Match", None, None)
        assert seen.texts("#error")[0].startswith(sentence)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl is installed")
def test_the_programs_give_the_same(seen: Visit, api: httpx.Client) -> None:
    seen.send("Match", QUERY, TEXTS)
    python, command, script = (seen.texts(f"#matches-{name}")[0] for name in ("python", "curl", "javascript"))
    names: dict[str, Any] = {}
    exec(python, names)
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=True)
    documents, _ = json.JSONDecoder().raw_decode(done.stdout.decode())
    computed = seen.page.evaluate(f"async () => {{ {script}\n return scores; }}")

    results = dict(ranked(api, QUERY, TEXTS))
    expected = [results[place] for place in range(len(TEXTS))]
    np.testing.assert_allclose(names["scores"], expected, atol=1e-4)
    np.testing.assert_allclose(computed, expected, atol=1e-4)
    assert len(TEXTS) == len(documents["data"])


def test_a_server_of_only_token_vectors(
    visit: Callable[..., Visit], tokens_home: Path, tmp_path: Path
) -> None:
    """Of a model that takes the mean: its views work, and the others say what they need."""
    folder = tmp_path / COLBERT
    shutil.copytree(tokens_home / "artifacts" / COLBERT, folder)
    described = manifest.read(folder)
    output = replace(described.token_vectors, similarity="meanmaxsim")
    manifest.write(replace(described, output=output), folder)
    with Server(["--artifacts", str(tmp_path)], {}, tmp_path) as server:
        server.wait_ready()
        seen = visit(server.url, view="")
        seen.rank(QUERY, TEXTS)
        assert seen.texts("#order-note")[0].startswith("Scores are sums over the query")
        seen.page.get_by_role("link", name="Token matches").click()
        seen.send("Match", None, None)
        with httpx.Client(base_url=server.url, timeout=START_SECONDS) as api:
            expected = [score for _, score in ranked(api, QUERY, TEXTS)]

        np.testing.assert_allclose(scores(seen), expected, rtol=1e-3, atol=0.005)
        assert "is the mean" in seen.texts("#matches-note")[0]
        for view in ("Search", "Compare texts", "Compare models", "Sparse terms"):
            seen.page.get_by_role("link", name=view).click()
            expect(seen.page.locator("#lacking")).to_contain_text("this server has none.")
        assert [] == seen.complaints


def test_a_server_of_no_token_vectors(visit: Callable[..., Visit]) -> None:
    seen = visit(view="matches")

    sentence = "This view needs a model of token vectors, such as ColBERT; this server has none."
    expect(seen.page.locator("#lacking")).to_contain_text(sentence)
