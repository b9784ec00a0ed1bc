"""Headers and paths that try to write into answers and the log."""

import json
import re
from collections.abc import Callable

import pytest
from harness import Server
from raw_http import Connection, embed, request

LOG_LINE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (INFO|WARNING) "
    r"(listening on http://[\d.:]+|ready in [\d.]+ s: http://[\d.:]+ \(try it\), http://[\d.:]+/docs"
    r"|loaded [\w-]+: int8, [\w ]+, cosine to the original [\w ,.;]+"
    r"|running as root; a user of its own, with no rights but to read, is safer"
    r"|draining: accepted requests have 30 s to finish"
    r"|(GET|POST) (unknown|/[\w/{}:]*) \d{3}"
    r"( (request_id|model|inputs|tokens|duration_ms|key|error|timing)=([!#-~]+|\"([ !#-\[\]-~]|\\.)*\"))+"
    r"|refused 4\d\d: [\w ,;./]+ request_id=[\da-f-]{36})"
)
REQUEST_IDS = [
    b"id\tx", b"\x1b[31mred", b"caf\xe9", b"\x85next line", b"a" * 129, b"\x7f", b"%s%n", b"{0}",
    b"${jndi:x}",
    b"\xe2\x80\xa8separator", b"", b" ", b'" status=500 injected="', b"GET /v1/embeddings 500",
]  # fmt: skip


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_headers_inject_nothing_into_answers_or_the_log(
    serve: Callable[..., Server], log_format: str
) -> None:
    """The log has one whole line an answer, and no word of a client but a printable request id."""
    server = serve("--api-keys", "s3cret", "--log-format", log_format)
    secret = "authorization: Bearer s3cret"
    sent = [embed("leaked", secret, f"x-request-id: {source.decode('latin-1')}") for source in REQUEST_IDS]
    sent += [
        embed("leaked", f"authorization: {value}") for value in ("Bearer é", "Bearer \xff\x80", "é", "Bearer")
    ]
    for value in ("text/leaked", "application/json; charset=leaked", "", "\xff", "a\tb", "x" * 20_000):
        body = b'{"input": "leaked"}'
        sent.append(request("/v1/embeddings", "POST", secret, f"content-type: {value}", body=body))
    sent += [
        request(f"/{path}", "GET", secret)
        for path in ("leaked", "%0aleaked", "models?leaked", "v1/models/leaked%0d%0a")
    ]
    sent += [b"leaked\r\n\r\n", request("/health", "GET", "leaked"), b"LEAKED / HTTP/1.1\r\n\r\n"]
    for one in sent:
        with Connection(server) as connection:
            connection.send(one)
            answer = connection.answer()
            assert {"date", "content-type", "content-length", "x-request-id"} <= set(answer.headers) | {
                "date"
            }
            assert set(answer.headers) <= {
                *["date", "content-type", "content-length", "x-request-id"],
                *["server-timing", "connection", "www-authenticate", "allow", "vary"],
            }
            assert re.fullmatch("[!-~][ -~]{0,127}", answer.headers["x-request-id"])

    log = server.stop()
    lines = log.splitlines()
    assert "leaked" not in log.lower()
    assert len(sent) == sum("request_id" in line for line in lines)
    if log_format == "json":
        assert {"time", "level", "logger", "message"} <= set.intersection(
            *[set(json.loads(one)) for one in lines]
        )
    else:
        assert [] == [line for line in lines if not LOG_LINE.fullmatch(line)]
