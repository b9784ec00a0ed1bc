"""Connections that are idle by the thousand, and clients that leave behind what they sent."""

import contextlib
import json
import resource
import socket
import time
from collections.abc import Callable

import httpx
from harness import START_SECONDS, Server, metrics, numbered, until, waiting
from raw_http import Connection, embed, request


def test_a_client_that_leaves_behind_its_pipelined_requests(serve: Callable[..., Server]) -> None:
    """The first of them ends with its client, though it is not the last that was read."""
    server = serve()
    body = json.dumps({"input": numbered("slow " * 300, 1000)}).encode()
    with Connection(server) as connection:
        connection.send(request("/v1/embeddings", "POST", body=body) + request() * 5)
        until(lambda: waiting(server.url) > 0)

    until(lambda: waiting(server.url) == 0)
    assert 'status="499"' in metrics(server.url)
    log = server.stop()
    assert 0 == server.process.returncode
    assert "Traceback" not in log


def test_thousands_of_idle_connections(serve: Callable[..., Server]) -> None:
    """With no file descriptor left, open connections are served; new ones are when idle ones are gone."""
    server = serve("--header-timeout", "1000")
    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (128, hard))
    with Connection(server) as connection:
        connection.send(request())
        assert 200 == connection.answer().status
        address = connection.socket.getpeername()
        idle = [socket.create_connection(address, START_SECONDS) for _ in range(1000)]
        for _ in range(50):
            connection.send(embed("still served"))
            assert 200 == connection.answer().status
        for one in idle:
            one.close()

    with httpx.Client(base_url=server.url, timeout=START_SECONDS) as client:
        assert 200 == wait_for(lambda: client.post("/v1/embeddings", json={"input": "x"}).status_code)
    log = server.stop()
    assert 0 == server.process.returncode
    assert len(log.splitlines()) < 200


def wait_for(call: Callable[[], int]) -> int:
    """Try until the connection is taken."""
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            return call()
        except httpx.TransportError:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_idle_connections_make_room_by_themselves(serve: Callable[..., Server]) -> None:
    """Connections that send nothing are closed, so that they cannot use up the descriptors for ever."""
    server = serve("--header-timeout", "1")
    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (128, hard))
    host, port = server.url.removeprefix("http://").split(":")
    with contextlib.ExitStack() as stack:
        for _ in range(500):
            stack.enter_context(socket.create_connection((host, int(port)), START_SECONDS))
        with httpx.Client(base_url=server.url, timeout=START_SECONDS) as client:
            assert 200 == wait_for(lambda: client.get("/health").status_code)
