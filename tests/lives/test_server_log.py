"""The log of a running server: what a line says, what none ever says, and a reader that stops reading."""

import fcntl
import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import MINILM, ROOT, START_SECONDS, WEB, Server, clean_environment, metrics, numbered, until

from embed_onnx.observe.logs import LINES_WAITING

MARKER = "xyzzymarker"
JSON = {"content-type": "application/json"}

OF_A_PROXY = {
    **{f"x-openwebui-user-{name}": MARKER for name in ("name", "id", "email", "role")},
    "x-openwebui-chat-id": MARKER,
    "x-litellm-end-user-id": MARKER,
    "user-agent": MARKER,
}
"""Headers by which a proxy says whose request it is."""
ANSWERED = {
    "embed": {"input": [MARKER, f"{MARKER} {MARKER}"], "user": MARKER},
    "embed-base64": {"input": MARKER, "encoding_format": "base64", "unknown": MARKER},
    "prompt": {"input": MARKER, "prompt": MARKER},
    "surrogate": {"input": f"{MARKER}\ud800"},
    "cut": {"input": f"{MARKER} " * 500},
    "words-of-a-proxy": {
        "input": MARKER,
        "safety_identifier": MARKER,
        "metadata": {MARKER: MARKER},
        "provider": {"order": [MARKER]},
    },
}
REFUSED = {
    "wrong-type": {"input": {MARKER: MARKER}},
    "mixed": {"input": [MARKER, [1]]},
    "model": {"input": MARKER, "model": MARKER},
    "model-with-newline": {"input": MARKER, "model": f"a\n{MARKER}"},
    "model-with-prompt": {"input": MARKER, "model": f"{MINILM}:{MARKER}"},
    "model-type": {"input": MARKER, "model": [MARKER]},
    "prompt-name": {"input": MARKER, "prompt_name": MARKER},
    "both-prompts": {"input": MARKER, "prompt_name": MARKER, "prompt": MARKER},
    "encoding-format": {"input": MARKER, "encoding_format": MARKER},
    "dimensions": {"input": MARKER, "dimensions": MARKER},
    "many-dimensions": {"input": MARKER, "dimensions": 9999},
    "truncate": {"input": MARKER, "truncate": MARKER},
    "too-long": {"input": f"{MARKER} " * 500, "truncate": False},
    "too-many": {"input": [MARKER] * 3000},
    "empty": {"input": [MARKER, ""]},
    "ids": {"input": [[10**9]], "prompt": MARKER},
}
BAD_BYTES = [
    pytest.param(f'{{"input": "{MARKER}'.encode(), JSON, id="malformed"),
    pytest.param(f'{{"input": "{MARKER}'.encode() + b'\xff"}', JSON, id="not-utf-8"),
    pytest.param(MARKER.encode(), {"content-type": f"text/{MARKER}"}, id="media-type"),
    pytest.param(MARKER.encode(), JSON | {"content-encoding": MARKER}, id="encoding"),
    pytest.param(f'{{"input": "{MARKER * 20_000}"}}'.encode(), JSON, id="large"),
]


def post(server: Server, path: str, fields: dict[str, Any], **headers: str) -> httpx.Response:
    content = json.dumps(fields)  # httpx would refuse a lone surrogate
    return WEB.post(f"{server.url}{path}", content=content, headers=JSON | headers)


def raw(server: Server, data: bytes) -> None:
    """Send bytes, and leave after the beginning of an answer."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=START_SECONDS) as connection:
        connection.sendall(data)
        connection.recv(1000)


def test_a_line_says_what_was_done(serve: Callable[..., Server]) -> None:
    server = serve("--log-format", "json")
    post(server, "/v1/embeddings", {"input": ["hello there", "go"]}, **{"x-request-id": "first"})
    post(server, "/tokenize", {"input": ["hello there", "go"]}, **{"x-request-id": "second"})
    post(server, "/v1/embeddings", {"input": "hello", "dimensions": 9999}, **{"x-request-id": "third"})
    WEB.get(f"{server.url}/nowhere", headers={"x-request-id": "fourth"})

    lines = {line.get("request_id"): line for line in map(json.loads, server.stop().splitlines())}

    work = {"model": MINILM, "inputs": 2, "tokens": 7}
    answered = {"method": "POST", "route": "/v1/embeddings", "status": 200}
    for request_id, expected in {
        "first": answered | work,
        "second": answered | work | {"route": "/tokenize"},
        "third": answered | {"status": 400, "model": MINILM, "inputs": 1, "error": "invalid_request_error"},
        "fourth": {"method": "GET", "route": "unknown", "status": 404, "error": "invalid_request_error"},
    }.items():
        line = lines[request_id]
        assert line.pop("duration_ms") > 0
        for name in ("time", "level", "logger", "message", "request_id", "timing"):
            line.pop(name, None)
        assert expected == line


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_line_has_a_text_of_a_user(serve: Callable[..., Server], log_format: str) -> None:
    """Whatever is sent and whatever becomes of it, the log has no texts and no names made up by clients."""
    server = serve("--log-format", log_format, "--max-body", "200000")
    for path in ("/v1/embeddings", "/embeddings", "/tokenize"):
        for fields in ANSWERED.values():
            assert 200 == post(server, path, fields, **OF_A_PROXY).status_code
        for fields in REFUSED.values():
            if path != "/tokenize" or "model" in fields:
                assert 400 <= post(server, path, fields).status_code < 500, fields
        for case in BAD_BYTES:
            content, headers = case.values
            answer = WEB.post(f"{server.url}{path}?{MARKER}={MARKER}", content=content, headers=headers)
            assert 400 <= answer.status_code < 500
    for path in (f"/v1/models/{MARKER}", f"/{MARKER}", f"/models?{MARKER}", f"/docs/files/{MARKER}"):
        for method in ("GET", "POST", "OPTIONS"):
            WEB.request(method, f"{server.url}{path}", headers={"referer": MARKER, "user-agent": MARKER})
    raw(server, f"GET /models HTTP/1.1\r\nhost: {MARKER}/\r\n\r\n".encode())
    raw(server, f"{MARKER} / HTTP/1.1\r\n\r\n".encode())
    raw(server, f"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: zz{MARKER}\r\n\r\n".encode())

    for fields in ({"texts": [MARKER]}, {"texts": [MARKER], "input_type": MARKER}, {MARKER: MARKER}):
        post(server, "/v1/embed", fields, **OF_A_PROXY)

    log = server.stop()
    assert log.count("/v1/embeddings 200") == len(ANSWERED)
    assert log.count("/v1/embed 200") == 1
    assert MARKER not in log


def test_no_line_of_a_busy_server_has_a_text(serve: Callable[..., Server]) -> None:
    """Nor where requests are too many, too late, without a key, or their clients leave."""
    small = serve("--queue-tokens", "5")
    late = serve("--request-timeout", "2")  # within which the whole body must have come
    locked = serve("--api-keys", "right")
    body = json.dumps({"input": numbered(f"{MARKER} " * 200, 500)})
    head = f"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"

    statuses = {
        post(small, "/v1/embeddings", {"input": numbered(MARKER, 50)}).status_code,
        post(late, "/v1/embeddings", {"input": numbered(f"{MARKER} " * 60, 2000)}).status_code,
        post(locked, "/v1/embeddings", {"input": MARKER}, authorization=f"Bearer {MARKER}").status_code,
    }
    host, port = late.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall((head + body[:1000]).encode())

    assert {400, 503, 401} == statuses
    assert MARKER not in small.stop() + late.stop() + locked.stop()


def test_ids_of_clients_cannot_make_lines_or_fields(serve: Callable[..., Server]) -> None:
    server = serve()
    post(server, "/v1/embeddings", {"input": "x"}, **{"x-request-id": "mine status=500 key=root"})
    raw(server, b"GET /models HTTP/1.1\r\nhost: x\r\nx-request-id: a\x0bb\x85c\r\n\r\n")

    log = server.stop()
    assert ' request_id="mine status=500 key=root" ' in log
    assert len(log.split("\n")) == len(log.splitlines()) + 1
    assert "a\x0bb" not in log


class Unread:
    """A server whose standard error is read until it listens, and then never again."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "embed_onnx", "serve", "--port", "0"],
            cwd=home,
            env=clean_environment(),
            stderr=subprocess.PIPE,
        )
        assert self.process.stderr is not None
        fcntl.fcntl(self.process.stderr, fcntl.F_SETPIPE_SZ, 4096)
        for line in self.process.stderr:
            if result := re.search(r"http://([^:]+):(\d+)", line.decode()):
                self.address = result.group(1), int(result.group(2))
                break
        self.url = f"http://{self.address[0]}:{self.address[1]}"

    def ask(self, requests: int) -> int:
        """Send so many requests down one connection; how many were answered."""
        answers = b""
        with socket.create_connection(self.address, timeout=START_SECONDS) as connection:
            connection.sendall(b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n" * requests)
            while answers.count(b"HTTP/1.1 404") < requests:
                part = connection.recv(2**16)
                assert part
                answers += part
        return requests

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()


def test_a_reader_that_stops_reading_does_not_stop_the_server(home: Path) -> None:
    """Lines that find no room are dropped and counted; requests are answered, and the server ends."""
    server = Unread(home)
    try:
        answered = sum(server.ask(100) for _ in range((LINES_WAITING + 1000) // 100))
        health = WEB.get(f"{server.url}/health").status_code
        page = metrics(server.url)
        server.process.terminate()
        code = server.process.wait(START_SECONDS)
    finally:
        server.kill()

    actual = re.search(r"embed_onnx_log_lines_dropped_total (\d+)", page)
    assert actual is not None
    assert 500 < int(actual.group(1)) <= 1000
    assert (5000, 200, 0) == (answered // 100 * 100, health, code)


def test_a_start_ends_with_where_to_go(serve: Callable[..., Server]) -> None:
    server = serve()
    server.wait_ready()
    until(lambda: any(" ready in " in line for line in server.log))

    assert re.search(rf"INFO ready in \d+\.\d s: {server.url} \(try it\), {server.url}/docs$", server.log[-1])


def test_reading_pages_is_no_news(serve: Callable[..., Server]) -> None:
    """Of the page and of /docs only what goes wrong is logged, unless all is."""
    for level, expected in (("info", False), ("debug", True)):
        server = serve("--log-level", level)
        server.wait_ready()
        for path in ("/", "/page/page.js", "/docs", "/docs/files/swagger-ui.css", "/openapi.json", "/ready"):
            assert 200 == WEB.get(server.url + path).status_code
        assert 404 == WEB.get(f"{server.url}/page/none.js").status_code
        assert 200 == post(server, "/v1/embeddings", {"input": "a text"}).status_code
        log = server.stop()

        assert expected == (" GET / 200" in log and "/page/{name} 200" in log and "/docs 200" in log)
        assert expected == ("/ready" in log)
        assert "POST /v1/embeddings 200" in log
        assert "/page/{name} 404" in log


def test_a_server_without_kernels_warns(copied_package: Path, home: Path) -> None:
    """The reason stands in the log, in /ready and in the metrics."""
    environment = {"PYTHONPATH": str(copied_package)}
    with Server([], environment, home) as server:
        server.wait_ready()
        ready = WEB.get(f"{server.url}/ready").json()
        page = metrics(server.url)
        log = server.stop()

    assert (
        "WARNING no native kernels, so models are several times slower: built without a C++ compiler" in log
    )
    assert ready["kernels"].startswith("none: built without a C++ compiler")
    assert 'instruction_set="none"' in page


@pytest.fixture
def copied_package(tmp_path: Path) -> Path:
    """The package as it is installed where there was no compiler."""
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "embed_onnx", tmp_path / "embed_onnx", ignore=ignored)
    return tmp_path
