"""Requests that are HTTP and that no client library makes: other methods, targets, hosts and bodies."""

import gzip
import json

import pytest
from harness import Server
from raw_http import Connection, ask, embed, request

ROUTES = [
    "/v1/embeddings", "/embeddings", "/tokenize", "/v1/models", "/v1/models/small", "/models", "/health",
    "/ready", "/metrics", "/openapi.json", "/docs", "/docs/files/swagger-ui.css", "/docs/no/such", "/no",
    "/embed", "/v1/embed", "/v2/embed", "/info", "/api/embed", "/api/embeddings", "/api/tags", "/api/version",
]  # fmt: skip


@pytest.mark.parametrize("path", ROUTES)
def test_head(server: Server, path: str) -> None:
    """No route answers HEAD with a body; those that have GET answer it like that."""
    with Connection(server) as connection:
        connection.send(request(path, "HEAD"))
        head = connection.answer(to="HEAD")
        connection.send(request(path))
        get = connection.answer()

    assert get.status == head.status
    if get.status != 200:
        assert head.status in (404, 405)
        return
    assert get.headers["content-type"] == head.headers["content-type"]
    assert int(head.headers["content-length"]) > 0


@pytest.mark.parametrize("path", ROUTES)
def test_options(server: Server, path: str) -> None:
    """Every route names its methods; a path without a route is a 404."""
    answer = ask(server, request(path, "OPTIONS"))

    if "/no" in path:
        assert (404, "invalid_request_error") == (answer.status, answer.error["type"])
    else:
        assert (204, b"") == (answer.status, answer.body)
        assert "OPTIONS" in answer.headers["allow"]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "SUBSCRIBE"])
def test_other_methods(server: Server, method: str) -> None:
    answer = ask(server, request("/v1/embeddings", method))

    assert (405, "invalid_request_error") == (answer.status, answer.error["type"])
    assert "POST" in answer.headers["allow"]


def test_expect_100_continue(server: Server) -> None:
    """The body is asked for, and then the request is answered."""
    head, _, body = embed("wait for it", "expect: 100-continue").partition(b"\r\n\r\n")
    with Connection(server) as connection:
        connection.send(head + b"\r\n\r\n")
        interim = connection.answer()
        connection.send(body)
        answer = connection.answer()

    assert [100, 200] == [interim.status, answer.status]


def test_expect_100_continue_for_what_is_refused(server: Server) -> None:
    """A body that would be refused is not asked for."""
    head = embed("x", "expect: 100-continue", "content-length: 99999999").partition(b"\r\n\r\n")[0]

    assert 413 == ask(server, head + b"\r\n\r\n").status


@pytest.mark.parametrize(
    "target", ["http://localhost/health", "http://other.invalid:99/health?x=y#z", "//health", "/health/"]
)
def test_targets_in_other_forms(server: Server, target: str) -> None:
    """A proxy's absolute form names the same route."""
    assert 200 == ask(server, request(target)).status


@pytest.mark.parametrize(
    "path",
    [
        "*", "/%00", "/%ff%fe", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
        "/docs/files/..%2f__init__.py",
        "/docs/files/%00", "/v1/models/..%2f..%2fmanifest.json", "/v1/models/%0d%0ax-evil:%20yes",
        "/v1/models/" + "a/" * 5000, "/" + "%61" * 5000, "/v1/models/%F0%9F%98%80", "/?" + "a=b&" * 5000,
    ],
)  # fmt: skip
def test_hostile_paths(server: Server, path: str) -> None:
    """No path leaves the routes, breaks the answer's headers or the shape of its error."""
    answer = ask(server, request(path))

    assert answer.status in (200, 400, 404)
    assert answer.status == 200 or answer.error["message"]
    assert "x-evil" not in answer.headers


@pytest.mark.parametrize("host", ["", "x:abc", "x:99999", "http://x", "a b", "é", "x" * 5000, "evil.invalid"])
def test_wrong_hosts(server: Server, host: str) -> None:
    """What the Host header says is of no consequence but for what is none at all."""
    sent = request().replace(b"host: localhost", b"host: " + host.encode("latin-1"))

    answer = ask(server, sent)

    assert answer.status == 200 or (answer.status == 400 and answer.error["message"])


def test_two_hosts_and_none(server: Server) -> None:
    assert ask(server, request("/health", "GET", "host: second")).status in (200, 400)
    assert 200 == ask(server, b"GET /health HTTP/1.1\r\n\r\n").status


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"input": %s}' % (b"[" * 10_000 + b"]" * 10_000), id="input-10000-deep"),
        pytest.param(b"[" * 10_000, id="10000-deep"),
        pytest.param(b'{"a":' * 10_000, id="objects-10000-deep"),
        pytest.param(b'{"input": [1%s]}' % (b"0" * 1_000_000), id="a-million-digits"),
        pytest.param(b'{"input": [-1%s]}' % (b"0" * 1_000_000), id="minus-a-million-digits"),
        pytest.param(b'{"input": "x", "dimensions": 1%s}' % (b"0" * 100_000), id="huge-dimensions"),
        pytest.param(b'{"input": "x", "dimensions": 1e400}', id="infinite-dimensions"),
        pytest.param(b'{"input": [%s[]]}' % (b"[]," * 5_000_000), id="millions-of-lists"),
        pytest.param(b'{"input": [%s"a"]}' % (b'"",' * 5_000_000), id="millions-of-texts"),
        pytest.param(b'{"input": [%s1]}' % (b"1," * 8_000_000), id="millions-of-ids"),
        pytest.param(b'{"user": [%s1], "input": "x"}' % (b"{}," * 5_000_000), id="millions-of-objects"),
        pytest.param(b'{"input": "%s"}' % (b"a" * 1_000_001), id="a-long-text"),
        pytest.param(b'{"input": "%s"}' % (b"\\ud800" * 2_700_000), id="millions-of-surrogates"),
        pytest.param('{"input": "x"}'.encode("utf-16"), id="utf-16"),
        pytest.param('{"input": "x"}'.encode("utf-32"), id="utf-32"),
        pytest.param(bytes(1000), id="nul-bytes"),
    ],
)  # fmt: skip
def test_hostile_json(server: Server, body: bytes) -> None:
    """Size and nesting are refused, with a sentence."""
    sent = request("/v1/embeddings", "POST", "content-type: application/json", body=body)

    answer = ask(server, sent)

    assert (400, "invalid_request_error") == (answer.status, answer.error["type"])
    assert len(answer.body) < 1000


def test_millions_of_unknown_fields(server: Server) -> None:
    """They are ignored, as fewer are."""
    body = b'{%s"input": "x"}' % (b'"a": 1,' * 2_000_000)

    answer = ask(server, request("/v1/embeddings", "POST", "content-type: application/json", body=body))

    assert 200 == answer.status


def test_a_text_over_the_limit_names_its_place_and_the_limit(server: Server) -> None:
    body = json.dumps({"input": ["short", "x" * 1_000_001]}).encode()

    answer = ask(server, request("/tokenize", "POST", body=body))

    sentence = "input[1] has 1000001 characters and at most 1000000 are taken; send it in parts"
    assert (400, sentence, "input") == (answer.status, answer.error["message"], answer.error["param"])


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "gzip, identity", "x" * 1000])
def test_compressed_bodies(server: Server, encoding: str) -> None:
    """A bomb is not unpacked: 16 KB here would be 16 MB."""
    body = gzip.compress(b'{"input": "' + b"a" * 16_000_000 + b'"}')
    lines = ["content-type: application/json", f"content-encoding: {encoding}"]

    answer = ask(server, request("/v1/embeddings", "POST", *lines, body=body))

    assert (415, "invalid_request_error") == (answer.status, answer.error["type"])
