"""Bodies that the routes of other servers' clients refuse, in the shape of each."""

import httpx
import pytest


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        pytest.param(b"x" * 17_000_000, {}, 413, id="too-large"),
        pytest.param(b'{"inputs": "x"}', {"content-type": "text/plain"}, 415, id="media-type"),
        pytest.param(b'{"inputs": ', {}, 400, id="malformed"),
        pytest.param(b"", {}, 400, id="empty"),
        pytest.param(b'{"inputs": "\xff"}', {}, 400, id="not-utf-8"),
    ],
)
def test_bad_bodies(client: httpx.Client, content: bytes, headers: dict, status: int) -> None:
    """The limits of bodies hold, and every refusal has the shape of its route."""
    sent = {"content-type": "application/json", **headers}
    tei, ollama = (client.post(path, content=content, headers=sent) for path in ("/embed", "/api/embed"))

    assert {"error", "error_type"} == set(tei.json())
    assert {"error"} == set(ollama.json())
    assert (422 if status == 400 else status, status) == (tei.status_code, ollama.status_code)
