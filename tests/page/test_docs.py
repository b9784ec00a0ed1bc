"""/docs and the page in a real browser, on the server itself and below a path of a real nginx."""

from collections.abc import Callable, Iterator
from typing import Any

import browsing
import httpx
import nginx
import pytest
from browsing import Visit
from harness import WEB, Server
from nginx import Nginx
from playwright.sync_api import Browser, expect

KEY = "sesame-5c1e"
PREFIX = "/models/embed"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing.chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def proxy(server: Server) -> Iterator[Nginx]:
    """The project's own site, with everything below a path that the server does not see."""
    with nginx.running(
        "nginx.conf", {"127.0.0.1:8000": server.url.removeprefix("http://")}, PREFIX
    ) as running:
        yield running


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[[str], Visit]]:
    contexts = []

    def open_page(url: str) -> Visit:
        contexts.append(browser.new_context(ignore_https_errors=True))
        return Visit(contexts[-1], url)

    yield open_page
    for context in contexts:
        context.close()


def run_operation(seen: Visit, operation: str, body: str | None = None) -> str:
    """Try an operation out in Swagger UI; the status that it shows."""
    block = seen.page.locator(f"[id='{operation}']")
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    if body is not None:
        block.locator("textarea").first.fill(body)
    block.get_by_role("button", name="Execute").click()
    return str(block.locator(".live-responses-table .response-col_status").last.inner_text()).split()[0]


def operation_id(schema: dict[str, Any], method: str, path: str) -> str:
    operation = schema["paths"][path][method]
    return f"operations-{operation['tags'][0]}-{operation['operationId']}"


@pytest.mark.parametrize("path", ["/docs", "/docs/"])
@pytest.mark.parametrize("proxied", [False, True])
def test_docs_show_and_try_every_route(
    visit: Callable[[str], Visit], server: Server, proxy: Nginx, path: str, proxied: bool
) -> None:
    """With a slash at the end or without; what is tried out goes to the server, wherever that is."""
    base = f"https://localhost:{proxy.port}{PREFIX}" if proxied else server.url
    seen = visit(base + path)
    expect(seen.page.locator(".opblock").first).to_be_visible()
    schema = WEB.get(f"{server.url}/openapi.json").json()
    operations = sum(len(item) for item in schema["paths"].values())

    assert operations == seen.page.locator(".opblock").count()
    assert [] == seen.complaints
    assert [] == [request.url for request in seen.requests if not request.url.startswith(base)]
    assert "200" == run_operation(
        seen, operation_id(schema, "post", "/v1/embeddings"), '{"input": "x", "model": "small"}'
    )
    assert f"{base}/v1/embeddings" == seen.requests[-1].url


def test_docs_on_a_phone(visit: Callable[[str], Visit], server: Server) -> None:
    """An open route, with the table of its answers, does not scroll sideways."""
    seen = visit(f"{server.url}/docs")
    seen.page.set_viewport_size({"width": 390, "height": 740})
    seen.page.locator(".opblock-summary-control").first.click()
    expect(seen.page.locator(".responses-table").first).to_be_visible()

    wide, room = seen.page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= room


def test_the_page_below_a_path(visit: Callable[[str], Visit], proxy: Nginx) -> None:
    """It embeds, shows the load, which /metrics does not show through nginx, and leads to the docs."""
    base = f"https://localhost:{proxy.port}{PREFIX}"
    seen = visit(f"{base}/#compare")
    seen.embed(["one text", "another"])

    assert (2, 2) == seen.cosines().shape
    for name in ("tokens", "requests", "queued", "memory"):
        expect(seen.page.locator(f"[data-figure={name}]")).to_contain_text("0" if name == "queued" else "")
        expect(seen.page.locator(f"[data-figure={name}]")).not_to_contain_text("\N{EN DASH}")
    assert f"{base}/v1/embeddings" in seen.texts("#curl")[0]
    assert [] == seen.complaints
    seen.page.get_by_role("link", name="API docs").click()
    expect(seen.page.locator(".opblock").first).to_be_visible()


def test_the_load_through_the_site_as_it_is(visit: Callable[[str], Visit], server: Server) -> None:
    """nginx keeps /metrics to itself and lets the page's own route through."""
    with nginx.running("nginx.conf", {"127.0.0.1:8000": server.url.removeprefix("http://")}) as site:
        seen = visit(f"https://localhost:{site.port}/")
        expect(seen.page.locator("[data-figure=memory]")).to_contain_text("MiB")
        with site.client() as https:
            hidden, load = https.get("/metrics"), https.get("/page/load")

    assert (404, 200) == (hidden.status_code, load.status_code)


# Keys


def test_no_key_is_asked_for_where_there_is_none(client: httpx.Client) -> None:
    schema = client.get("/openapi.json").json()

    assert "securitySchemes" not in schema["components"]
    assert [] == [
        (path, method)
        for path, item in schema["paths"].items()
        for method, operation in item.items()
        if "security" in operation
    ]


def test_a_key_given_to_the_docs_is_sent(visit: Callable[[str], Visit], serve: Callable[..., Server]) -> None:
    """Authorize, then try out; what asks for no key says so."""
    keyed = serve("--api-keys", KEY)
    schema = WEB.get(f"{keyed.url}/openapi.json").json()
    seen = visit(f"{keyed.url}/docs")
    expect(seen.page.locator(".opblock").first).to_be_visible()
    assert "401" == run_operation(seen, operation_id(schema, "get", "/v1/models"))
    seen.page.locator("button.authorize").first.click()
    seen.page.locator(".auth-container", has_text="bearer").locator("input").fill(KEY)
    seen.page.locator(".auth-container", has_text="bearer").get_by_role("button", name="Apply").click()
    seen.page.locator(".btn-done").first.click()
    assert "200" == run_operation(seen, operation_id(schema, "get", "/models"))

    assert {"bearer", "api-key"} == set(schema["components"]["securitySchemes"])
    secured = {
        path for path, item in schema["paths"].items() if all("security" in each for each in item.values())
    }
    assert {"/health", "/ready", "/metrics"} == set(schema["paths"]) - secured
    assert {"/admin/reload", "/v1/embeddings", "/embed", "/api/embed"} <= secured
    assert [{"bearer": []}, {"api-key": []}] == schema["paths"]["/admin/reload"]["post"]["security"]


def test_only_gets_are_in_the_schema(client: httpx.Client) -> None:
    """Their HEADs would be the same again."""
    schema = client.get("/openapi.json").json()

    assert {"get", "post"} == {method for item in schema["paths"].values() for method in item}


@pytest.mark.parametrize(
    "path", ["/docs/nothing", "/docs/openapi.json", "/docs/files/none.js", "/docs/files/"]
)
def test_no_other_page(client: httpx.Client, path: str) -> None:
    answer = client.get(path)

    assert (404, "invalid_request_error") == (answer.status_code, answer.json()["error"]["type"])
