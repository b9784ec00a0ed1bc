"""Memory that was freed goes back to the machine, in real processes."""

import ctypes
import json
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest
from harness import MINILM, START_SECONDS, WEB, Server, numbered, until

from benchmarks.servers import resident_mb

needs_glibc = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="another C library")
OFTEN = (
    sys.executable,
    "-c",
    "from embed_onnx.cli import main as cli; from embed_onnx.system import memory; "
    "memory.TRIM_SECONDS = 0.5; cli.main()",
)
"""The program, which trims so often that a test need not wait."""
FRAGMENTED = """
import os
from benchmarks.servers import resident_mb
from embed_onnx.system import memory

large = bytearray(8_000_000)
del large  # from now on, the heap takes blocks up to this size
blocks = [bytearray(b"x") * 200_000 for _ in range(1000)]
blocks = blocks[::100]
before = resident_mb(os.getpid())
memory.trim()
print(before, resident_mb(os.getpid()))
"""
"""Frees 198 MB between blocks that stay, and says how many MB are resident before and after a trim."""
CLIENTS = 12
TEXTS = 600


@needs_glibc
def test_a_trim_gives_back_what_is_free_within_the_heap() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FRAGMENTED], capture_output=True, text=True, check=False, timeout=START_SECONDS
    )
    assert 0 == done.returncode, done.stderr
    before, after = map(float, done.stdout.split())

    assert before > 150
    assert after < before - 100


def test_without_such_a_call_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with musl."""
    from embed_onnx.system import memory

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    memory._call.cache_clear()
    try:
        assert memory.trim() is None
    finally:
        monkeypatch.undo()
        memory._call.cache_clear()


@needs_glibc
def test_answers_that_nobody_read_leave_no_memory_behind(serve: Callable[..., Server]) -> None:
    """Several MB each, for clients that then go: the server is as small as before, but for a little."""
    server = serve("--threads", "2", program=OFTEN)
    assert 200 == WEB.post(f"{server.url}/v1/embeddings", json=body(8)).status_code
    start = resident_mb(server.process.pid)
    connections = [ask(server, body(TEXTS)) for _ in range(CLIENTS)]
    until(lambda: sum("POST /v1/embeddings 200" in line for line in server.log) > CLIENTS)
    most = resident_mb(server.process.pid)
    for connection in connections:
        connection.close()

    assert most > start + 40
    until(lambda: resident_mb(server.process.pid) < start + 25)
    assert 200 == WEB.post(f"{server.url}/v1/embeddings", json=body(8)).status_code


def body(texts: int) -> dict[str, object]:
    return {"model": MINILM, "input": numbered("a", texts)}


def ask(server: Server, fields: dict[str, object]) -> socket.socket:
    """A connection with a request whose answer is not read."""
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    content = json.dumps(fields).encode()
    head = "POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    connection.sendall(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
    return connection
