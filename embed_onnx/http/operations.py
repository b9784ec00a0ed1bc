"""Routes for those who run the server: health, readiness, metrics, reloading."""

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import MediaType, Request, Response, Router, post
from litestar.datastructures import State
from msgspec import Meta

from embed_onnx.errors import ReloadFailed, SetupError
from embed_onnx.http import keys
from embed_onnx.http.access import RequireAdmin
from embed_onnx.http.errors import OPENAI
from embed_onnx.http.request import read
from embed_onnx.models.registry import Registry
from embed_onnx.observe.metrics import Metrics


class Status(msgspec.Struct, frozen=True):
    """GET /health."""

    status: Annotated[str, Meta(description="Always `ok`.")]


class Reloaded(msgspec.Struct, frozen=True):
    """POST /admin/reload: the names that are served now."""

    models: Annotated[list[str], Meta(description="The names that are served now.")]


class Readiness(msgspec.Struct, frozen=True):
    """GET /ready; no number while every model is out of memory, and none has been used yet."""

    status: Annotated[str, Meta(description="Always `ready`.")]
    kernels: Annotated[
        str, Meta(description="The instruction set of the native kernels, or why there are none.")
    ]
    seconds_since_success: Annotated[
        float | None,
        Meta(description="Since something was last embedded or scored; null while no model is in memory."),
    ]


@post(
    "/admin/reload",
    status_code=200,
    tags=["operations"],
    responses=OPENAI.responses(401, 403),
    summary="Reload models and keys",
)
async def reload_now(state: State) -> Reloaded:
    """Serve what the models file and the artifacts folder hold now, and read the key file again.

    It asks for an admin key. Requests that run end as they began, none fails, and nothing changes if a model
    cannot be loaded. SIGHUP does the same.
    """
    try:
        models = await reload(state)
    except SetupError as err:
        raise ReloadFailed(f"not reloaded, what was served is still served: {err}") from None
    if state.on_reload is not None:
        state.on_reload()
    return Reloaded(models)


async def reload(state: State) -> list[str]:
    """Reload models and keys, and return the names that are served then. One reload at a time.

    Raises:
        SetupError: A model cannot be loaded, or the key file is wrong.
    """
    registry: Registry = state.registry
    async with state.reloading:  # or keys that were read before those of another could take their place
        api_keys = await asyncio.to_thread(keys.load, state.settings)
        names = await asyncio.to_thread(registry.reload)
        state.api_keys = api_keys
    return names


@read("/health", tags=["operations"], responses=OPENAI.responses(), summary="Is the process alive?")
async def health() -> Status:
    """200 while the process lives."""
    return Status("ok")


@read("/ready", tags=["operations"], responses=OPENAI.responses(503), summary="Can every model embed?")
async def ready(state: State) -> Readiness:
    """200 when every model can embed; 503 with the reason while loading or draining.

    The answer has the seconds since a sequence was last embedded. If that is long ago, one token is embedded
    now, and the answer is 503 if that fails.
    """
    registry: Registry = state.registry
    seconds = await registry.check_alive()
    return Readiness("ready", kernels=registry.kernels.summary, seconds_since_success=seconds)


@read(
    "/metrics",
    tags=["operations"],
    media_type=MediaType.TEXT,
    responses=OPENAI.responses(),
    summary="Prometheus metrics",
)
async def show_metrics(request: Request[Any, Any, State], state: State) -> Response[bytes]:
    """Prometheus text, or OpenMetrics to those who accept it."""
    metrics: Metrics = state.metrics
    state.ledger.book()
    page, content_type = metrics.page(request.headers.get("accept", ""))
    return Response(page, headers={"content-type": content_type})


def routers() -> list[Router]:
    """Reloading, which requires an admin's key, and the routes that require none."""
    return [
        Router("/", route_handlers=[reload_now], middleware=[RequireAdmin()]),
        Router("/", route_handlers=[health, ready, show_metrics]),
    ]
