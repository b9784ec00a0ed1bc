"""How the page looks and is used: colours, narrow screens, the keyboard."""

import base64
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from browsing import Visit, contrast
from playwright.sync_api import Browser

TEXTS = ["The cat sleeps.", "A cat is asleep.", "Shares fell on Monday.", "The market closed lower."]
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


def test_by_keyboard(visit: Callable[..., Visit]) -> None:
    """Everything is reached with the tab key, in the order it is read."""
    seen = visit()
    seen.embed(TEXTS)
    seen.page.get_by_role("link", name="API docs").focus()
    reached = []
    for _ in range(20):
        seen.page.keyboard.press("Tab")
        reached.append(
            seen.page.evaluate("() => document.activeElement.id || document.activeElement.textContent")
        )

    views = ["Search", "Compare texts", "Compare models", "Rerank", "Sparse terms", "Token matches", "Models"]
    form = ["open", "examples", "texts", "model", "prompt", "dimensions", "send"]
    results = ["heat", "copy-vectors", "Save JSON", "Save CSV", "Save npy", "vectors"]
    assert [*views, *form, *results] == reached
