"""A real browser on the page, with what it asks for and complains about."""

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SECONDS = 60
"""A hang is a failure, not a timing: far more than the page ever takes."""
BUTTONS = {
    "search": "Search",
    "compare": "Embed",
    "versus": "Compare",
    "rank": "Rank",
    "terms": "Show terms",
    "matches": "Match",
    "models": None,
}
"""By the name of a view: the button that sends."""
COLOURS = """([selector, property]) => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  return [...document.querySelectorAll(selector)].map((element) => {
    canvas.fillStyle = getComputedStyle(element)[property];
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  });
}"""
SCALE = """(heats) => {
  const cell = document.querySelector(".heat tbody td");
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  return heats.map((heat) => {
    cell.style.setProperty("--heat", heat);
    return ["backgroundColor", "color"].map((name) => {
      canvas.fillStyle = getComputedStyle(cell)[name];
      canvas.fillRect(0, 0, 1, 1);
      return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    });
  });
}"""
PASTE = """(field, text) => {
  field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}"""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The Chromium that the machine has."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    expect.set_options(timeout=SECONDS * 1000)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM)
        yield opened
        opened.close()


class Visit:
    """A browser's visit of the page, with all that it asked for and complained about."""

    def __init__(self, context: BrowserContext, url: str, until: Literal["commit", "load"] = "load") -> None:
        self.requests: list[Request] = []
        self.complaints: list[str] = []
        self.context = context
        context.set_default_timeout(SECONDS * 1000)
        context.on("request", self.note)
        context.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.page: Page = context.new_page()
        self.page.goto(url, wait_until=until)

    def note(self, request: Request) -> None:
        self.requests.append(request)

    def type(self, texts: list[str]) -> None:
        self.page.get_by_label("Texts, one a line").fill("\n".join(texts))

    def embed(self, texts: list[str] | None = None) -> None:
        """Press the button, and wait for the answer, be it an error."""
        expect(self.page.get_by_label("Model")).to_be_enabled()
        if texts is not None:
            self.type(texts)
        self.page.get_by_role("button", name="Embed", exact=True).click()
        self.settle()

    def rank(self, query: str | None = None, documents: list[str] | None = None) -> None:
        """The same in the view that ranks."""
        expect(self.page.get_by_label("Reranker")).to_be_enabled()
        self.send("Rank", query, documents)

    def search(self, query: str | None = None, texts: list[str] | None = None) -> None:
        """The same in the view that searches."""
        expect(self.page.get_by_label("Model")).to_be_enabled()
        self.send("Search", query, texts)

    def send(self, button: str, query: str | None, texts: list[str] | None) -> None:
        if query is not None:
            self.page.get_by_label("Query", exact=True).fill(query)
        if texts is not None:
            self.type(texts)
        self.page.get_by_role("button", name=button, exact=True).click()
        self.settle()

    def settle(self) -> None:
        self.page.wait_for_selector("#results:not([aria-busy])")

    def texts(self, selector: str) -> list[str]:
        return self.page.locator(selector).all_text_contents()

    def sent(self, path: str = "/v1/embeddings") -> list[dict[str, Any]]:
        """The bodies of the requests to a route."""
        posts = [request for request in self.requests if request.url.endswith(path)]
        return [request.post_data_json for request in posts]

    def cosines(self) -> np.ndarray:
        rows = self.page.locator(".heat tbody tr").all()
        cells = [row.locator("td").all_text_contents() for row in rows]
        return np.array([[float(text.replace("\N{MINUS SIGN}", "-")) for text in row] for row in cells])

    def colours(self, selector: str, name: str) -> np.ndarray:
        """The computed colours of elements, RGB, 0 to 255."""
        return np.array(self.page.evaluate(COLOURS, [selector, name]), float)

    def scale(self, heats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The colours of a cell of the heat map and of its number at these heats, RGB, 0 to 255."""
        pairs = np.array(self.page.evaluate(SCALE, heats.tolist()), float)
        return pairs[:, 0], pairs[:, 1]


def contrast(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The contrast of colours as the accessibility guidelines define it; 4.5 is enough for text."""

    def luminance(rgb: np.ndarray) -> np.ndarray:
        part = rgb / 255
        linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
        return linear @ np.array([0.2126, 0.7152, 0.0722])

    lights = np.stack(np.broadcast_arrays(luminance(one), luminance(other)))
    return (lights.max(axis=0) + 0.05) / (lights.min(axis=0) + 0.05)


def paste(seen: Visit, texts: list[str]) -> None:
    """Put in many texts at once: typing thousands of lines takes a browser minutes."""
    seen.page.get_by_label("Texts, one a line").evaluate(PASTE, "\n".join(texts))
