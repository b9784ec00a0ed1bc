"""deploy/nginx.conf in a real nginx, in front of a real server."""

import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator

import httpx
import nginx
import pytest
from harness import MINILM, ROOT, START_SECONDS, WEB, Server, free_port, metrics, numbered, until, waiting
from nginx import Nginx

from embed_onnx.http.server import KEEP_ALIVE_SECONDS
from embed_onnx.settings import Settings

SITE = (ROOT / "deploy/nginx.conf").read_text()
DEFAULTS = Settings()
REQUEST = {"model": MINILM, "input": "Hello", "encoding_format": "base64"}


@pytest.fixture
def proxy() -> Iterator[Callable[[str], Nginx]]:
    """Start nginx before an upstream."""
    with contextlib.ExitStack() as stack:

        def start(upstream: str) -> Nginx:
            return stack.enter_context(
                nginx.running("nginx.conf", {"127.0.0.1:8000": upstream.removeprefix("http://")})
            )

        yield start


def directive(name: str) -> str:
    """The value of a directive that stands once in the site."""
    (value,) = re.findall(rf"^\s*{name}\s+(.+);$", SITE, re.MULTILINE)
    return str(value)


def test_nginx_limits_are_the_servers() -> None:
    """Bodies as large, longer timeouts, and idle connections closed before the server does it."""
    assert DEFAULTS.max_body == int(directive("client_max_body_size").removesuffix("m")) << 20
    assert int(directive("proxy_read_timeout").removesuffix("s")) > DEFAULTS.request_timeout
    assert int(directive("keepalive_timeout").removesuffix("s")) < KEEP_ALIVE_SECONDS


def test_nginx_serves_over_tls(proxy: Callable[[str], Nginx], server: Server, client: httpx.Client) -> None:
    """One text and a full list come out as from the server itself; none gets to a disk or a log."""
    site = proxy(server.url)
    texts = [f"sentence {number} about something secret" for number in range(DEFAULTS.max_inputs)]
    bulk = {"model": MINILM, "input": texts}

    with site.client() as https:
        ours = [https.post("/v1/embeddings", json=body) for body in (REQUEST, bulk)]
    theirs = [client.post("/v1/embeddings", json=body) for body in (REQUEST, bulk)]

    assert [answer.json()["data"] for answer in theirs] == [answer.json()["data"] for answer in ours]
    assert [] == site.warnings()
    assert "secret" not in (site.folder / "access.log").read_text()


def test_nginx_passes_errors_and_ids(
    proxy: Callable[[str], Nginx], server: Server, client: httpx.Client
) -> None:
    """An error's status, body and headers are the server's; an id goes through, and there always is one."""
    bad = {"model": "unknown", "input": "Hello"}
    theirs = client.post("/v1/embeddings", json=bad, headers={"x-request-id": "find-me"})

    with proxy(server.url).client() as https:
        ours = https.post("/v1/embeddings", json=bad, headers={"x-request-id": "find-me"})
        unnamed = https.get("/v1/models")

    assert (404, theirs.content) == (ours.status_code, ours.content)
    assert ["find-me"] == ours.headers.get_list("x-request-id")
    assert [1] == [len(unnamed.headers.get_list("x-request-id"))]


def test_nginx_answers_in_our_shape(
    proxy: Callable[[str], Nginx], server: Server, client: httpx.Client
) -> None:
    """Errors of nginx itself look like the server's: too large a body, a hidden route, a broken request."""
    site = proxy(server.url)
    large = b" " * (DEFAULTS.max_body + 1)
    with site.client() as https:
        refused = https.post("/v1/embeddings", content=large, headers={"x-request-id": "find-me"})
        hidden = https.get("/metrics")
        broken = https.get("/health", headers={"x-long": "a" * 100_000})
    plain = WEB.get(f"http://127.0.0.1:{site.port}/health")

    assert (413, "find-me") == (refused.status_code, refused.headers["x-request-id"])
    assert client.post("/v1/embeddings", content=large).json() == refused.json()
    assert [404, 400, 400] == [answer.status_code for answer in (hidden, broken, plain)]
    for answer in (refused, hidden, broken, plain):
        assert {"message", "type", "param", "code"} == answer.json()["error"].keys()
        assert "application/json" == answer.headers["content-type"]
        assert answer.headers["x-request-id"]


def test_nginx_without_a_server(proxy: Callable[[str], Nginx]) -> None:
    """That a server is not running is said in the shape of its own errors."""
    with proxy(f"127.0.0.1:{free_port()}").client() as https:
        answer = https.post("/v1/embeddings", json=REQUEST)

    assert (502, "server_error") == (answer.status_code, answer.json()["error"]["type"])


def test_nginx_lets_go_when_its_client_does(
    proxy: Callable[[str], Nginx], serve: Callable[..., Server]
) -> None:
    """A client that leaves is not waited for: the server hears of it and drops the work."""
    server = serve()
    body = json.dumps(
        {"input": numbered("a sentence of about nine words, again and again. " * 40, 2000)}
    ).encode()
    head = "POST /v1/embeddings HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    head += f"content-length: {len(body)}\r\n\r\n"

    with proxy(server.url).connect() as connection:
        connection.sendall(head.encode() + body)
        until(lambda: waiting(server.url) > 0)
    until(lambda: 'status="499"' in metrics(server.url))
    log = server.stop()

    assert "POST /v1/embeddings 499" in log


def test_nginx_sends_again_what_an_old_connection_lost(proxy: Callable[[str], Nginx]) -> None:
    """A kept connection that closes under a request costs nobody anything: a new one takes the request."""
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        upstream.settimeout(START_SECONDS)
        accepted = threading.Thread(target=answer_once_a_connection, args=(upstream, 2), daemon=True)
        accepted.start()
        with proxy(f"127.0.0.1:{upstream.getsockname()[1]}").client() as https:
            answers = [https.post("/v1/embeddings", json=REQUEST) for _ in range(2)]
        accepted.join(START_SECONDS)

    assert [200, 200] == [answer.status_code for answer in answers]


def answer_once_a_connection(upstream: socket.socket, connections: int) -> None:
    """Answer the first request of each connection, and close it when another comes."""
    with contextlib.ExitStack() as stack:
        kept = None
        for _ in range(connections):
            if kept is not None:
                kept.recv(65536)
                kept.close()
            kept = stack.enter_context(upstream.accept()[0])
            kept.recv(65536)
            kept.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
