"""A server's parts put together, and its Litestar app: every dialect, one way to answer errors, lifespan."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from litestar import Litestar, Request, Response
from litestar.config.app import AppConfig
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.exceptions import HTTPException, ValidationException
from litestar.plugins import PluginProtocol
from litestar.types import Message, Receive, Send

from embed_onnx.artifact.models_txt import Entry
from embed_onnx.errors import EmbedError, InferenceFailed, InvalidRequest, SetupError, Unavailable
from embed_onnx.http import docs, keys, operations, record, vllm
from embed_onnx.http.admission import Admission
from embed_onnx.http.cohere import dialect as cohere
from embed_onnx.http.errors import OPENAI, ErrorShape
from embed_onnx.http.keys import Keys
from embed_onnx.http.ollama import dialect as ollama
from embed_onnx.http.openai import dialect as openai
from embed_onnx.http.playground import page_file, show_load
from embed_onnx.http.tei import dialect as tei
from embed_onnx.models.registry import Registry
from embed_onnx.observe import logs
from embed_onnx.observe.metrics import Metrics, PackMetrics
from embed_onnx.observe.record import PROBES
from embed_onnx.observe.tracing import Tracing
from embed_onnx.scheduling.scheduler import Scheduler
from embed_onnx.settings import Settings
from embed_onnx.system import memory

log = logging.getLogger(__name__)

DIALECTS = (openai.DIALECT, tei.DIALECT, ollama.DIALECT, cohere.DIALECT, vllm.DIALECT)
"""Every wire that is served: a new one is a row here."""


class Service(msgspec.Struct, frozen=True):
    """The parts of a server, each of which is made with those that it needs."""

    registry: Registry
    app: Litestar


def compose(
    entries: list[Entry],
    settings: Settings,
    *,
    on_sick: Callable[[str], None] | None = None,
    on_failure: Callable[[SetupError], None] | None = None,
    on_ready: Callable[[], None] | None = None,
    on_reload: Callable[[], None] | None = None,
) -> Service:
    """Make all parts of a server. Starting the app loads the models, and ending it closes the registry.

    ``on_sick`` is called if lanes keep dying or hanging, ``on_ready`` when all models are loaded or
    ``on_failure`` when one cannot be, and ``on_reload`` after a reload over HTTP.

    Raises:
        SetupError: An artifact or the key file is wrong, or OpenTelemetry is configured and cannot start.
    """
    packs = PackMetrics()
    registry = Registry(entries, settings, on_sick=on_sick, on_pack=packs.add)
    try:
        parts = _Parts(
            registry=registry,
            settings=settings,
            metrics=Metrics(registry, packs),
            tracing=Tracing.from_environment(untraced=PROBES),
            api_keys=keys.load(settings),
            on_reload=on_reload,
        )
        return Service(registry, _create_app(parts, on_ready, on_failure))
    except SetupError:
        registry.close()
        raise


class _Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What handlers find in the app's state, beside what they keep there themselves."""

    registry: Registry
    settings: Settings
    metrics: Metrics
    tracing: Tracing | None
    api_keys: Keys
    on_reload: Callable[[], None] | None


def _create_app(
    parts: _Parts,
    on_ready: Callable[[], None] | None,
    on_failure: Callable[[SetupError], None] | None,
) -> Litestar:
    settings, tracing = parts.settings, parts.tracing
    ledger = record.Ledger(parts.metrics)

    def report(loading: asyncio.Task[None]) -> None:
        _report(loading, on_ready, on_failure)

    return _App(
        route_handlers=[
            *(dialect.router() for dialect in DIALECTS),
            *operations.routers(),
            page_file,
            show_load,
            docs.show_docs,
            docs.docs_file,
            docs.openapi_json,
        ],
        lifespan=[lambda _: _lifespan(parts, ledger, report)],
        state=State(
            {
                **msgspec.structs.asdict(parts),
                "ledger": ledger,
                "admission": Admission(settings, parts.registry.scheduler),
                "reloading": asyncio.Lock(),
                "openapi_json": None,
            }
        ),
        exception_handlers={
            EmbedError: _answer_error,
            SetupError: _answer_lost_model,
            HTTPException: _answer_http_error,
            ValidationException: _answer_empty_body,
            Exception: _answer_bug,
        },
        cors_config=_cors(settings) if settings.cors_origins else None,
        openapi_config=docs.config(),
        request_max_body_size=None,  # ``Admission`` has it
        plugins=[] if tracing is None else [tracing.plugin],
        logging_config=None,
    )


@contextlib.asynccontextmanager
async def _lifespan(
    parts: _Parts, ledger: record.Ledger, report: Callable[[asyncio.Task[None]], None]
) -> AsyncIterator[None]:
    """Load the models while the server listens already, and close everything at its end."""
    registry, tracing = parts.registry, parts.tracing
    loading = asyncio.create_task(asyncio.to_thread(registry.load))
    loading.add_done_callback(report)
    background = {
        asyncio.create_task(_unload_idle(registry, parts.settings.idle_unload)),
        asyncio.create_task(_give_back_memory(registry.scheduler)),
    }
    yield
    ledger.book()
    for task in background:
        task.cancel()
    await asyncio.wait({loading, *background})
    await asyncio.to_thread(registry.close)
    if tracing is not None:
        await asyncio.to_thread(tracing.close)


def _cors(settings: Settings) -> CORSConfig:
    """Pages of these origins may call the server, and read the headers about retries, ids and timing."""
    exposed = ["x-request-id", "retry-after", "x-should-retry", "server-timing"]
    return CORSConfig(allow_origins=list(settings.cors_origins), expose_headers=exposed)


class _App(Litestar):
    """Begins a request's record before anything is done for it, counts its body, and finishes the record.

    At its end, it drops the request's state.
    The server keeps a connection's last scope until its next request, and with it whatever hangs on it: the
    body, its token ids and its vectors.

    Of the plugins that Litestar adds by itself, it has none: for each package that happens to be installed
    (pydantic, attrs, OpenTelemetry) they import that package, which took a fifth of the time to start and 12
    MB, and no handler has types of theirs. ``Tracing`` brings its own plugin.
    """

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return plugins

    @staticmethod
    def _patch_opentelemetry_middleware(config: AppConfig) -> AppConfig:
        return config

    async def __call__(self, scope: Any, receive: Receive | Any, send: Send | Any) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return

        async def send_recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.finish(message, scope)
            await send(message)

        state = scope.get("state", {})
        scope["state"] = {**state, "record": record.new_record(scope)}
        admission: Admission = self.state.admission
        body = admission.body(scope, receive)
        try:
            await super().__call__(scope, body.receive, send_recorded)
        finally:
            body.release()
            scope["state"] = state


async def _unload_idle(registry: Registry, seconds: float) -> None:
    """Free the memory of models that are idle for so long, again and again; never for 0 seconds."""
    while seconds:
        await asyncio.sleep(seconds / 4)
        registry.unload_idle(seconds)


async def _give_back_memory(scheduler: Scheduler) -> None:
    """Trim the heap again and again, at moments when nothing is computed or waits."""
    while True:
        await asyncio.sleep(memory.TRIM_SECONDS)
        if scheduler.is_idle:
            await asyncio.to_thread(memory.trim)


def _report(
    loading: asyncio.Task[None],
    on_ready: Callable[[], None] | None,
    on_failure: Callable[[SetupError], None] | None,
) -> None:
    if loading.cancelled():
        return
    err = loading.exception()
    if err is None:
        if on_ready is not None:
            on_ready()
        return
    failure = err if isinstance(err, SetupError) else SetupError(f"loading failed, this is a bug: {err!r}")
    if on_failure is None:
        log.error("%s", failure)
    else:
        on_failure(failure)


def _answer_error(request: Request[Any, Any, State], err: EmbedError) -> Response[Any]:
    """The one place where an error becomes a response, in the shape of its route."""
    record.current_record(request.scope).error = err.code or err.type
    return _shape(request).answer(err)


def _shape(request: Request[Any, Any, State]) -> ErrorShape:
    """That of the route or, where there is none, of the dialect that has its paths below the same prefix."""
    handler = request.scope.get("route_handler")
    if handler is not None:
        own = handler.opt.get("errors", OPENAI)
        shape: ErrorShape = request.scope["state"].get("errors", own)  # of a path that two wires share
        return shape
    path = request.scope["path"]
    return next((each.errors for each in DIALECTS if each.prefix and path.startswith(each.prefix)), OPENAI)


def _answer_lost_model(request: Request[Any, Any, State], err: SetupError) -> Response[Any]:
    """A model was unloaded, and its files have changed since."""
    number = record.current_record(request.scope).request_id
    log.error("%s, request %s", err, number)
    return _answer_error(
        request, Unavailable(f"the model cannot be loaded again; the server's log has why as {number}")
    )


def _answer_http_error(request: Request[Any, Any, State], err: HTTPException) -> Response[Any]:
    """Litestar's own errors, in OpenAI's shape."""
    if err.status_code >= 500:
        return _answer_bug(request, err)
    method, path = request.method, request.scope["path"]  # the URL is wrong where the Host header is
    sentences = {
        404: f"there is no route {path}; GET /docs lists what there is",
        405: f"{path} does not take {method}; GET /docs lists what it takes",
    }
    known = InvalidRequest(sentences.get(err.status_code, err.detail))
    known.status = err.status_code
    known.headers = dict(err.headers or {})
    return _answer_error(request, known)


def _answer_empty_body(request: Request[Any, Any, State], _: ValidationException) -> Response[Any]:
    """The one case that Litestar validates, as ``ApiRequest`` decodes bodies."""
    return _answer_error(request, InvalidRequest("the body is empty; send a JSON object"))


def _answer_bug(request: Request[Any, Any, State], err: Exception) -> Response[Any]:
    """An unexpected error: the log says where it came from, under a number that the client can report."""
    number = record.current_record(request.scope).request_id
    log.error("unexpected error, request %s\n%s", number, logs.frames(err))
    return _answer_error(request, InferenceFailed(f"an internal error; the server's log has it as {number}"))
