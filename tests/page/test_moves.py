"""What one is about to click stays where it is, whatever response comes late, and when results arrive."""

import threading
from collections.abc import Iterator

import pytest
from browsing import BUTTONS, Visit
from playwright.sync_api import Browser, BrowserContext, Route, expect

WATCH = """() => {
  const boxes = new Map();
  const controls = ".top a, .views a, #form :is(button, input, select, textarea)";
  window.moves = [];
  const watch = () => {
    for (const control of document.querySelectorAll(controls)) {
      if (!control.checkVisibility()) continue;
      const { x, y, width, height } = control.getBoundingClientRect();
      const box = [x, y + scrollY, width, height].join(" ");
      const before = boxes.get(control) ?? box;
      if (box !== before) window.moves.push(`${control.id || control.textContent}: ${before} -> ${box}`);
      boxes.set(control, box);
    }
    requestAnimationFrame(watch);
  };
  requestAnimationFrame(watch);
}"""
"""Writes down each control that has another place, or size, in a frame than in the frame before."""
FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
LATE = {
    "**/v1/models": "main:visible",
    "**/page/load": "main:visible",
    "**/page/*.js": ".views",
}
"""Addresses of responses, and what is on the page before they are there."""


@pytest.fixture(params=[390, 1280])
def context(browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """Of a phone and of a desktop."""
    opened = browser.new_context(viewport={"width": request.param, "height": 900})
    opened.add_init_script(f"({WATCH})()")
    yield opened
    opened.close()


def moves(seen: Visit) -> list[str]:
    seen.page.evaluate(FRAMES)
    return seen.page.evaluate("() => window.moves")  # type: ignore[no-any-return]


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("view", BUTTONS)
def test_loading(context: BrowserContext, urls: dict[str, str], view: str, late: str) -> None:
    held: list[Route] = []
    released = threading.Event()

    def hold(route: Route) -> None:
        if released.is_set():
            route.continue_()
        else:
            held.append(route)

    context.route(late, hold)
    seen = Visit(context, f"{urls[view]}/#{view}", until="commit")
    seen.page.locator(LATE[late]).wait_for()
    while not held:  # the page may be drawn before the request has come here
        seen.page.wait_for_timeout(10)
    seen.page.evaluate(FRAMES)
    released.set()
    for route in held:
        route.continue_()
    expect(seen.page.locator("[data-figure=memory]")).to_contain_text("MiB")
    expect(seen.page.locator(".card").first).to_be_attached()

    assert [] == moves(seen)


@pytest.mark.parametrize(("view", "button"), [pair for pair in BUTTONS.items() if pair[1]])
def test_results(context: BrowserContext, urls: dict[str, str], view: str, button: str) -> None:
    seen = Visit(context, f"{urls[view]}/#{view}")
    expect(seen.page.locator(".card").first).to_be_attached()
    seen.send(button, None, None)
    seen.type(["changed", "since"])
    expect(seen.page.locator("#stale")).to_be_visible()

    assert [] == moves(seen)
