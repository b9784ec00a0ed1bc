"""Clients that are slow or stop: headers, bodies and unread answers have deadlines."""

import contextlib
import socket
import time
from pathlib import Path

import pytest
from harness import START_SECONDS, Server, until
from raw_http import Connection, embed, request


@pytest.fixture(scope="module")
def hasty(home, tmp_path_factory):
    """A server that waits for headers and bodies for a second only."""
    with Server(["--header-timeout", "1", "--request-timeout", "2"], {}, home) as server:
        server.wait_ready()
        yield server
        log = server.stop()
    assert "Traceback" not in log


@pytest.mark.parametrize("start", [b"G", b"GET /health HTTP/1.1\r\nhost: x\r\n"], ids=["a-letter", "half"])
@pytest.mark.parametrize("earlier", [0, 1], ids=["first", "after-another"])
def test_a_client_that_does_not_finish_its_headers(hasty: Server, earlier: int, start: bytes) -> None:
    """The answer says why its connection closes."""
    with Connection(hasty) as connection:
        for _ in range(earlier):
            connection.send(request())
            assert 200 == connection.answer().status
        connection.send(start)
        answer = connection.answer()
        assert b"" == connection.rest()

    assert 408 == answer.status
    assert "within 1 s" in answer.error["message"]


@pytest.mark.parametrize("sent", [b"", b"\r\n\r\n"], ids=["nothing", "empty-lines"])
def test_a_client_that_does_not_begin(hasty: Server, sent: bytes) -> None:
    with Connection(hasty) as connection:
        connection.send(sent)
        assert b"" == connection.rest()


def test_a_connection_that_idles_after_an_answer_is_kept(hasty: Server) -> None:
    """The deadline of headers begins with their first byte."""
    with Connection(hasty) as connection:
        for idle in (0, 1.5):
            time.sleep(idle)
            connection.send(request())
            assert 200 == connection.answer().status


def test_headers_that_trickle_have_the_same_deadline(hasty: Server) -> None:
    """A byte now and then does not put it off."""
    with Connection(hasty) as connection:
        connection.send(b"GET /health HTTP/1.1\r\n")
        connection.socket.settimeout(0.05)
        first = b""
        while not first:
            connection.send(b"x: y\r\n")
            with contextlib.suppress(TimeoutError):
                first = connection.socket.recv(13)

    assert b"HTTP/1.1 408 " == first


@pytest.mark.parametrize("trickles", [False, True], ids=["never", "trickles"])
def test_a_body_that_does_not_come(hasty: Server, trickles: bool) -> None:
    """The whole body has a deadline; then the connection closes."""
    with Connection(hasty) as connection:
        connection.send(embed("x", "content-length: 1000"))
        if trickles:
            connection.socket.settimeout(0.05)
            while True:
                connection.send(b" ")
                with contextlib.suppress(TimeoutError):
                    assert connection.socket.recv(1, socket.MSG_PEEK)
                    break
            connection.socket.settimeout(START_SECONDS)
            assert connection.socket.recv(13) == b"HTTP/1.1 408 "
            return
        answer = connection.answer()
        assert b"" == connection.rest()

    assert (408, "close") == (answer.status, answer.headers["connection"])
    assert "the body was not complete within 2 s; send it at once" == answer.error["message"]


def test_a_body_that_nobody_waits_for_has_a_deadline_too(hasty: Server) -> None:
    """An answer that came before the end of the body does not let the rest take for ever."""
    with Connection(hasty) as connection:
        connection.send(request("/health", "GET", "content-length: 1000"))
        assert 200 == connection.answer().status
        assert b"" == connection.rest()


def test_an_answer_that_is_not_fetched(hasty: Server) -> None:
    """A client that reads nothing does not keep its answers in memory for ever."""
    many = request("/metrics") * 20_000
    with Connection(hasty) as connection:
        connection.socket.settimeout(0.5)
        with contextlib.suppress(TimeoutError, ConnectionError):
            connection.socket.sendall(many)
        ports = connection.socket.getpeername()[1], connection.socket.getsockname()[1]
        until(lambda: not established(*ports))


def established(server_port: int, client_port: int) -> bool:
    """Whether the server's end of a connection still is."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    ends = [line.split()[1:4] for line in lines]
    return any(
        (int(ours[9:], 16), int(theirs[9:], 16), state) == (server_port, client_port, "01")
        for ours, theirs, state in ends
    )
