"""The files of the page at /: what is served, and what is no part of the API."""

import httpx
import pytest

from embed_onnx.http import playground as served


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


def test_requests_about_the_server_are_not_its_load(client: httpx.Client) -> None:
    before = client.get("/page/load").json()["requests_total"]
    for path in ("/health", "/ready", "/metrics", "/page/load"):
        client.get(path)
    client.get("/v1/models")

    assert 1 == client.get("/page/load").json()["requests_total"] - before
