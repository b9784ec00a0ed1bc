"""The page at ``/`` to try the server with: static files that use the API as any client, and its load."""

import functools
import hashlib
from pathlib import Path
from typing import Any

from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from embed_onnx.http.access import RequireKey
from embed_onnx.http.request import read
from embed_onnx.observe.metrics import Load, Metrics

FOLDER = Path(__file__).with_suffix("")
MEDIA_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}
FILES = sorted(path.name for path in FOLDER.iterdir() if path.suffix in MEDIA_TYPES)
HEADERS = {
    # The page runs, loads and calls nothing but this server, and no string becomes markup.
    "content-security-policy": "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "worker-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types worker",  # the policy of maths.js, which gives one address
        ]
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",  # kept, and checked each time: a new version is loaded at once
}


@read(["/", "/page/{name:str}"], include_in_schema=False, sync_to_thread=False)
def page_file(request: Request[Any, Any, State], name: FromPath[str] = "index.html") -> Response[bytes]:
    """A file of the page, or 304 where the client has it.

    Raises:
        NotFoundException: It is none of those that the page loads.
    """
    if name not in FILES:
        raise NotFoundException
    content, tag = _read(name)
    headers = {**HEADERS, "etag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=MEDIA_TYPES[Path(name).suffix])


@read("/page/load", include_in_schema=False, middleware=[RequireKey()])
async def show_load(state: State) -> Load:
    """The server's load; /metrics has more of it, and proxies do not let the public read that."""
    metrics: Metrics = state.metrics
    state.ledger.book()
    return metrics.load()


@functools.cache
def _read(name: str) -> tuple[bytes, str]:
    """A file's bytes and their entity tag; read once, as an installed file does not change."""
    content = (FOLDER / name).read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'
