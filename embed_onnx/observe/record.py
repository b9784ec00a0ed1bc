"""One request: filled in while it is worked on, and read by log, metrics and trace when its answer leaves.

It has words of a bounded number, but for the request's id, and never a user's text.
"""

import time

import msgspec

PROBES = ("/health", "/ready", "/metrics", "/page/load")
"""Paths that are read every few seconds to see how the server is: no work, and lines that would bury the
others."""
PAGES = ("/", "/{name}", "/page/{name}", "/docs", "/docs/files/{name}", "/openapi.json")
"""What a browser reads to show a page; the page's requests for work are requests like any other."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Those that have a name here; a client may make up others."""


class Stages(msgspec.Struct, frozen=True, kw_only=True):
    """How long a model's work took, in seconds, stage after stage."""

    tokenize: float
    queue: float
    infer: float
    end_ns: int
    """When the last stage ended, in nanoseconds of the epoch."""


class Record(msgspec.Struct, kw_only=True):
    """One request and its answer."""

    request_id: str
    method: str
    started: float = msgspec.field(default_factory=time.perf_counter)
    """When its headers were there, on the clock of ``time.perf_counter``."""
    key: str = ""
    """The name of its API key; empty where the server has none."""
    model: str = ""
    """The served name; empty where the request named none that is served."""
    task: str = ""
    """What that model was to do; empty where any model can."""
    inputs: int = 0
    tokens: int = 0
    truncated_inputs: int = 0
    cached: int = 0
    """Sequences whose results were kept from earlier requests."""
    stages: Stages | None = None
    """None unless a model did its work."""
    error: str = ""
    """A failure's code or, where it has none, its type."""
    route: str = "unknown"
    """The path's template."""
    status: int = 0
    seconds: float = 0.0
    """From its headers to those of its answer."""
