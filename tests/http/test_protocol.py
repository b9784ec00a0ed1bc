"""Bytes that break HTTP or stretch it: broken and huge requests, pipelines, and connections that close."""

import json
import socket
import ssl

import pytest
from harness import START_SECONDS, WEB, Server
from raw_http import Connection, ask, embed, request

from embed_onnx.http.connection import MAX_HEADER_BYTES


def refused(server: Server, *sent: bytes) -> int:
    """The status of a refusal in OpenAI's shape, after which the connection closes."""
    with Connection(server) as connection:
        connection.send(*sent)
        result = connection.answer()
        assert "invalid_request_error" == result.error["type"]
        assert "close" == result.headers["connection"]
        assert b"" == connection.rest()
    assert 200 == WEB.get(f"{server.url}/health").status_code
    return result.status


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\x00\xff rubbish\r\n\r\n", id="rubbish"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), id="tls-hello"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="http-2"),
        pytest.param(b"GET /health HTTP/3.7\r\n\r\n", id="version"),
        pytest.param(b"YELL /health HTTP/1.1\r\n\r\n", id="method"),
        pytest.param(b"GET /health HTTP/1.1\nhost: x\n\nGET /", id="bare-line-feeds"),
        pytest.param(b"GET /h\x00ealth HTTP/1.1\r\n\r\n", id="nul-in-the-path"),
        pytest.param("GET /é HTTP/1.1\r\n\r\n".encode(), id="utf-8-in-the-path"),
        pytest.param(b"GET health HTTP/1.1\r\n\r\n", id="no-slash"),
        pytest.param(b"CONNECT example.invalid:443 HTTP/1.1\r\nhost: x\r\n\r\n", id="connect"),
        pytest.param(b"GET http:// HTTP/1.1\r\n\r\n", id="no-authority"),
        pytest.param(request("/health", "GET", "no colon"), id="header-without-colon"),
        pytest.param(request("/health", "GET", "bad name: x"), id="space-in-a-name"),
        pytest.param(request("/health", "GET", "x: a\x00b"), id="nul-in-a-value"),
        pytest.param(request("/health", "GET", ": x"), id="no-name"),
        pytest.param(request("/health", "POST", "content-length: -1"), id="negative-length"),
        pytest.param(request("/health", "POST", "content-length: +1"), id="signed-length"),
        pytest.param(request("/health", "POST", "content-length: 0x10"), id="hexadecimal-length"),
        pytest.param(request("/health", "POST", "content-length: ten"), id="length-in-words"),
        pytest.param(request("/health", "POST", f"content-length: {10**40}"), id="huge-length"),
        pytest.param(request("/health", "POST", "content-length: 1", "content-length: 2"), id="two-lengths"),
        pytest.param(
            request("/health", "POST", "content-length: 1", "transfer-encoding: chunked"),
            id="length-and-chunked",
        ),
        pytest.param(
            request("/health", "POST", "transfer-encoding: chunked", "content-length: 1"),
            id="chunked-and-length",
        ),
        pytest.param(request("/health", "POST", "transfer-encoding: chunked, gzip"), id="not-chunked-last"),
    ],
)
def test_what_is_not_http_is_refused_in_the_shape_of_every_error(server: Server, sent: bytes) -> None:
    assert 400 == refused(server, sent)


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(b"zz\r\n", id="no-number"),
        pytest.param(b"-5\r\nhello\r\n", id="negative"),
        pytest.param(b"5\r\nhello!!\r\n", id="longer-than-announced"),
        pytest.param(b"fffffffffffffffff\r\nhello\r\n", id="beyond-64-bits"),
        pytest.param(b"5;" + b"x" * 20 + b"\nhello\r\n", id="bare-line-feed"),
    ],
)
def test_bad_chunks(server: Server, chunks: bytes) -> None:
    """The request that waited for its body is not answered twice."""
    head = request("/v1/embeddings", "POST", "content-type: application/json", "transfer-encoding: chunked")

    assert 400 == refused(server, head, chunks)


def test_a_chunked_body_of_single_bytes(server: Server) -> None:
    """A body may come in as many pieces as it has bytes."""
    body = b'{"input": "a few words"}'
    chunks = [b"1;name=value\r\n%c\r\n" % byte for byte in body]
    head = request("/v1/embeddings", "POST", "content-type: application/json", "transfer-encoding: chunked")

    answer = ask(server, head, *chunks, b"0\r\ntrailer: x\r\n\r\n")

    assert 200 == answer.status


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param([b"GET /" + b"a" * MAX_HEADER_BYTES + b" HTTP/1.1\r\n\r\n"], id="line"),
        pytest.param([request("/health", "GET", "x: " + "a" * MAX_HEADER_BYTES)], id="one-header"),
        pytest.param([request("/health", "GET", "n" * MAX_HEADER_BYTES + ": x")], id="name"),
        pytest.param([request("/health", "GET", *["x: y"] * 12_000)], id="many-headers"),
        pytest.param([b"GET /health HTTP/1.1\r\nx: ", *[b"a" * 10_000] * 1000], id="one-without-end"),
        pytest.param([b"GET /health HTTP/1.1\r\n", *[b"x: y\r\n" * 1000] * 1000], id="many-without-end"),
        pytest.param([b"GET /", *[b"a" * 10_000] * 1000], id="line-without-end"),
    ],
)
def test_headers_beyond_the_limit(server: Server, sent: list[bytes]) -> None:
    assert 431 == refused(server, *sent)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param([b"0\r\n", *[b"x: y\r\n" * 1000] * 1000], id="trailers"),
        pytest.param([b"0\r\nx: ", *[b"y" * 10_000] * 1000], id="one-trailer"),
        pytest.param([b"1;x=", *[b"y" * 10_000] * 1000], id="chunk-extension"),
        pytest.param([b"0" * 10_000] * 1000, id="zeros-of-a-length"),
    ],
)
def test_what_stands_around_a_body_has_the_limit_of_headers(server: Server, sent: list[bytes]) -> None:
    head = request("/v1/embeddings", "POST", "content-type: application/json", "transfer-encoding: chunked")

    assert refused(server, head, *sent) in (400, 431)


def test_trailers_are_no_headers(server: Server) -> None:
    """What comes after the body is too late to say how it is encoded."""
    head = request("/v1/embeddings", "POST", "content-type: application/json", "transfer-encoding: chunked")
    body = b'{"input": "x"}'

    sent = head + b"%x\r\n%s\r\n0\r\ncontent-encoding: gzip\r\n\r\n" % (len(body), body)

    assert 200 == ask(server, sent).status


def test_headers_just_below_the_limit(server: Server) -> None:
    """Each header counts with its separators; a body behind them does not."""
    lines = [f"x-{index}: {'v' * 990}" for index in range(64)]

    assert 200 == ask(server, embed("hello " * 30_000, *lines)).status


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    """Right answers, in the order of the requests, slow ones and errors among them."""
    sent = [
        embed("slow " * 200_000),
        request("/health"),
        request("/nope"),
        request("/v1/embeddings", "POST", "content-type: application/json", body=b'{"input": 5}'),
        request("/ready", "HEAD"),
        embed("quick"),
        request("/models"),
    ] * 20
    with Connection(server) as connection:
        connection.send(b"".join(sent))
        answers = [connection.answer(to=part.split()[0].decode()) for part in sent]

    assert [200, 200, 404, 400, 200, 200, 200] * 20 == [answer.status for answer in answers]
    tokens = [json.loads(answers[place].body)["usage"]["total_tokens"] for place in (0, 5, 7, 12)]
    assert [256, 3, 256, 3] == tokens


@pytest.mark.parametrize(
    ("before", "broken"),
    [
        pytest.param([embed("a"), request()], b"rubbish\r\n\r\n", id="headers"),
        pytest.param([embed("a")], request("/health", "GET", "x: " + "y" * 70_000), id="long-headers"),
        pytest.param(
            [embed("a"), request()],
            request("/health", "POST", "transfer-encoding: chunked") + b"zz\r\n",
            id="body",
        ),
        pytest.param([request()], b"\x16\x03\x01", id="tls"),
    ],
)
def test_what_is_before_a_broken_request_is_answered(
    server: Server, before: list[bytes], broken: bytes
) -> None:
    """Its own answers come first and are right; then the connection closes."""
    with Connection(server) as connection:
        connection.send(b"".join(before) + broken)
        statuses = [connection.answer().status for _ in before]
        rest = connection.rest()

    assert [200] * len(before) == statuses
    assert rest == b"" or rest.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 "))


@pytest.mark.parametrize("version", [b" HTTP/1.0", b""], ids=["1.0", "0.9"])
def test_old_http(server: Server, version: bytes) -> None:
    """No Host, no keep-alive: the answer ends the connection."""
    with Connection(server) as connection:
        connection.send(b"GET /health" + version + b"\r\n\r\n")
        answer = connection.answer()
        assert b"" == connection.rest()

    assert (200, b'{"status":"ok"}') == (answer.status, answer.body)


def test_connection_close(server: Server) -> None:
    """The answer says that it is the last, and nothing after it is served."""
    with Connection(server) as connection:
        connection.send(request("/health", "GET", "connection: close") + request("/models"))
        answer = connection.answer()
        assert b"" == connection.rest()

    assert (200, "close") == (answer.status, answer.headers["connection"])


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "TLS/1.3", "anything"])
def test_a_wish_for_another_protocol_is_passed_over(server: Server, protocol: str) -> None:
    """Java's client wishes for h2c with its first request, body and all; the next one is pipelined."""
    lines = [f"upgrade: {protocol}", "connection: upgrade, http2-settings", "http2-settings: AAMAAABk"]
    with Connection(server) as connection:
        connection.send(embed("first", *lines) + embed("second one", *lines) + request())
        answers = [connection.answer() for _ in range(3)]

    assert [200, 200, 200] == [answer.status for answer in answers]
    assert [3, 4] == [json.loads(answer.body)["usage"]["total_tokens"] for answer in answers[:2]]


def test_thousands_of_wishes_in_one_piece(server: Server) -> None:
    sent = request("/health", "GET", "upgrade: x", "connection: upgrade") * 3000
    with Connection(server) as connection:
        connection.send(sent)
        statuses = {connection.answer().status for _ in range(3000)}

    assert {200} == statuses


def test_a_half_closed_connection(server: Server) -> None:
    """A client that will send nothing more counts as gone: the two look the same."""
    with Connection(server) as connection:
        connection.send(embed("anyone there?"))
        connection.socket.shutdown(socket.SHUT_WR)
        rest = connection.rest()

    assert rest == b"" or rest.startswith(b"HTTP/1.1 200 ")
    assert 200 == ask(server, request()).status


def test_tls_on_the_plain_port(server: Server) -> None:
    """A client of https gets an error at once and does not hang."""
    host, port = server.url.removeprefix("http://").split(":")
    context = ssl.create_default_context()
    with (
        socket.create_connection((host, int(port)), START_SECONDS) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain, server_hostname="localhost")
