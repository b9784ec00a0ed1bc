"""What axe-core, the accessibility checker, says of each view with its results."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import npm
import pytest
from browsing import BUTTONS, Visit
from playwright.sync_api import expect

PACKAGE = "axe-core@4"
RUN = """async () => (await axe.run()).violations.map(
  ({ id, nodes }) => [id, ...nodes.map((node) => node.html)]
)"""
LOOKS = [
    {"color_scheme": "light"},
    {"color_scheme": "dark"},
    {"viewport": {"width": 390, "height": 844}, "has_touch": True},
]


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The checker's program."""
    folder = npm.install(tmp_path_factory.mktemp("axe"), PACKAGE)
    return Path(folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.mark.parametrize("options", LOOKS, ids=["light", "dark", "phone"])
@pytest.mark.parametrize("view", BUTTONS)
def test_no_violation(
    visit: Callable[..., Visit],
    urls: dict[str, str],
    axe: str,
    view: str,
    options: dict[str, Any],
) -> None:
    """Of any rule of axe-core, with results that are marked as old."""
    seen = visit(urls[view], view, **options)
    if (button := BUTTONS[view]) is None:
        expect(seen.page.locator(".card")).to_have_count(2)
    else:
        label = {"rank": "Reranker", "terms": "Weighed by", "matches": "Matched by"}.get(view, "Model")
        expect(seen.page.get_by_label(label, exact=True)).to_be_enabled()
        seen.send(button, None, None)
        seen.type(["changed", "since"])
        expect(seen.page.locator("#stale")).to_be_visible()
    seen.page.evaluate(axe)

    assert [] == seen.page.evaluate(RUN)


def test_a_view_without_a_model(visit: Callable[..., Visit], urls: dict[str, str], axe: str) -> None:
    seen = visit(urls["search"], "matches")
    expect(seen.page.locator("#lacking")).to_be_visible()
    seen.page.evaluate(axe)

    assert [] == seen.page.evaluate(RUN)
