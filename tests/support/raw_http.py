"""HTTP by hand over a socket, for what no client library would send."""

import json
import socket
from typing import Any, NamedTuple, Self

from harness import START_SECONDS, WEB, Server


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """The error of a refusal, which must have OpenAI's shape and a request id."""
        result = json.loads(self.body)

        assert ["error"] == list(result)
        assert {"message", "type", "param", "code"} == set(result["error"])
        assert "application/json" == self.headers["content-type"]
        assert self.headers["x-request-id"]
        return result["error"]


class Connection:
    """A connection on which any bytes may be sent; answers are read in order."""

    def __init__(self, server: Server) -> None:
        host, port = server.url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), START_SECONDS)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def send(self, *parts: bytes) -> None:
        """Send parts; what a server that has closed does not take is its answer's business."""
        try:
            for part in parts:
                self.socket.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def answer(self, *, to: str = "GET") -> Answer:
        """The next answer; one to HEAD has no body."""
        line = self._file.readline()
        assert line.startswith(b"HTTP/1.1 "), line
        status = int(line.split()[1])
        headers = {}
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").rstrip("\r\n").partition(": ")
            assert name not in headers, f"{name} twice"
            headers[name] = value
        none = to == "HEAD" or status in (100, 204)
        return Answer(status, headers, b"" if none else self._file.read(int(headers["content-length"])))

    def final_answer(self) -> Answer:
        """The next answer that is not an interim one."""
        while (result := self.answer()).status == 100:
            pass
        return result

    def rest(self) -> bytes:
        """All until the server closes; empty where it has nothing more to say."""
        try:
            return self._file.read()
        except ConnectionResetError:
            return b""


def ask(server: Server, *sent: bytes) -> Answer:
    """The answer to bytes, on a connection of its own, after which the server still works."""
    with Connection(server) as connection:
        connection.send(*sent)
        result = connection.answer()
    assert 200 == WEB.get(f"{server.url}/health").status_code
    return result


def request(path: str = "/health", method: str = "GET", *lines: str, body: bytes = b"") -> bytes:
    """The bytes of a request; Content-Length is added to a body where no line gives its length."""
    framed = any(line.lower().startswith(("content-length", "transfer-encoding")) for line in lines)
    length = () if framed or not body else (f"content-length: {len(body)}",)
    head = [f"{method} {path} HTTP/1.1", "host: localhost", *lines, *length, "", ""]
    return "\r\n".join(head).encode("latin-1") + body


def embed(text: str, *lines: str) -> bytes:
    """The bytes of a request to embed one text."""
    body = json.dumps({"input": text, "encoding_format": "base64"}).encode()
    return request("/v1/embeddings", "POST", "content-type: application/json", *lines, body=body)
