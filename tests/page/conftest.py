"""A real browser, and the page in it."""

from collections.abc import Callable, Iterator
from typing import Any

import browsing
import pytest
from browsing import BUTTONS, Visit
from harness import Server
from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing.chromium() as opened:
        yield opened


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Callable[..., Visit]]:
    """Open a view with options of the browser's context, by default on the server for all tests."""
    contexts = []

    def open_page(url: str = server.url, view: str = "compare", **options: Any) -> Visit:
        contexts.append(browser.new_context(**options))
        return Visit(contexts[-1], f"{url}/#{view}")

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def urls(
    server: Server, scoring_server: Server, sparse_server: Server, tokens_server: Server
) -> dict[str, str]:
    """A server for each view."""
    others = {"rank": scoring_server, "terms": sparse_server, "matches": tokens_server}
    return {view: each.url for view, each in (dict.fromkeys(BUTTONS, server) | others).items()}
