"""The Litestar app: routes, one way to answer errors, lifespan, docs, and a line in the log a request."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from litestar import Litestar, Request, Response
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import Message, Receive, Scope, Send

from embed_onnx.errors import ClientGone, EmbedError, InferenceFailed, InvalidRequest, SetupError, Unavailable
from embed_onnx.http import azure, docs, keys, model_list, ollama, ollama_models, routes, tei, wire
from embed_onnx.http.admission import Admission
from embed_onnx.http.playground import page_file, show_load
from embed_onnx.models.registry import Registry
from embed_onnx.observe import logs
from embed_onnx.observe.metrics import METHODS, PROBES, Answer, Metrics
from embed_onnx.observe.tracing import Tracing
from embed_onnx.scheduling.scheduler import Scheduler
from embed_onnx.settings import Settings
from embed_onnx.system import memory

log = logging.getLogger(__name__)


def create_app(
    registry: Registry,
    settings: Settings,
    *,
    on_failure: Callable[[SetupError], None] | None = None,
    on_reload: Callable[[], None] | None = None,
) -> Litestar:
    """The app. Starting it loads the registry's models.

    ``on_failure`` hears of a model that does not load, ``on_reload`` of a reload that a client asked for.

    Raises:
        SetupError: OpenTelemetry is asked for and cannot be had.
    """
    tracing = Tracing.wanted(untraced=PROBES)

    @contextlib.asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        loading = asyncio.create_task(asyncio.to_thread(registry.load))
        loading.add_done_callback(lambda task: _report(task, on_failure))
        background = {
            asyncio.create_task(_unload_idle(registry, settings.idle_unload)),
            asyncio.create_task(_give_back_memory(registry.scheduler)),
        }
        yield
        for task in background:
            task.cancel()
        await asyncio.wait({loading, *background})
        await asyncio.to_thread(registry.close)
        if tracing is not None:
            await asyncio.to_thread(tracing.close)

    return _App(
        route_handlers=[
            *routes.routers(),
            model_list.router(),
            azure.router(),
            tei.router(),
            ollama.router(),
            ollama_models.router(),
            page_file,
            show_load,
            docs.show_docs,
            docs.docs_file,
            docs.openapi_json,
        ],
        lifespan=[lifespan],
        state=State(
            {
                "registry": registry,
                "settings": settings,
                "metrics": Metrics(registry),
                "tracing": tracing,
                "on_reload": on_reload,
                "reloading": asyncio.Lock(),
                "api_keys": keys.load(settings),
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
        middleware=[Admission(settings, registry.scheduler)],
        before_send=[_observe],
        cors_config=_cors(settings) if settings.cors_origins else None,
        openapi_config=docs.config(),
        request_max_body_size=settings.max_body,
        plugins=[] if tracing is None else [tracing.plugin],
        logging_config=None,
    )


def _cors(settings: Settings) -> CORSConfig:
    """Pages of these origins may ask, and read what tells a client when to ask again."""
    exposed = ["x-request-id", "retry-after", "x-should-retry", "server-timing"]
    return CORSConfig(allow_origins=list(settings.cors_origins), expose_headers=exposed)


class _App(Litestar):
    """Notes when a request came, before anything is done for it; at its end, forgets all that was noted.

    The server keeps a connection's last scope until its next request, and with it whatever hangs on it: the
    body, its token ids and its vectors.
    """

    async def __call__(self, scope: Any, receive: Receive | Any, send: Send | Any) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        given = scope.get("state", {})
        scope["state"] = {**given, "started": time.perf_counter()}
        try:
            await super().__call__(scope, receive, send)
        finally:
            scope["state"] = given


async def _unload_idle(registry: Registry, seconds: float) -> None:
    """Free the memory of models that nobody uses, for ever; 0 seconds: never."""
    while seconds:
        await asyncio.sleep(seconds / 4)
        registry.unload_idle(seconds)


async def _give_back_memory(scheduler: Scheduler) -> None:
    """Trim the heap again and again, for ever, at moments when nothing is computed or waits."""
    while True:
        await asyncio.sleep(memory.TRIM_SECONDS)
        if scheduler.is_idle:
            await asyncio.to_thread(memory.trim)


def _report(loading: asyncio.Task[None], on_failure: Callable[[SetupError], None] | None) -> None:
    if loading.cancelled() or (err := loading.exception()) is None:
        return
    failure = err if isinstance(err, SetupError) else SetupError(f"loading failed, this is a bug: {err!r}")
    if on_failure is None:
        log.error("%s", failure)
    else:
        on_failure(failure)


def _answer_error(request: Request[Any, Any, State], err: EmbedError) -> Response[Any]:
    """The one place where an error becomes a response, in the shape of its route.

    Where there is none, it is Ollama's below its path, and OpenAI's elsewhere.
    """
    request.scope["state"]["error"] = err.code or err.type
    handler = request.scope.get("route_handler")
    if handler is None:
        below_api = request.scope["path"].startswith(ollama.PREFIX)
        return ollama.answer_error(err) if below_api else routes.answer_error(err)
    answer: Response[Any] = handler.opt.get("answer_error", routes.answer_error)(err)
    return answer


def _answer_lost_model(request: Request[Any, Any, State], err: SetupError) -> Response[Any]:
    """A model had left the memory, and its files have changed since."""
    number = request_id(request.scope)
    log.error("%s, request %s", err, number)
    return _answer_error(
        request, Unavailable(f"the model cannot be loaded again; the server's log has why as {number}")
    )


def _answer_http_error(request: Request[Any, Any, State], err: HTTPException) -> Response[Any]:
    """Litestar's own errors, in OpenAI's shape."""
    if "disconnected" in err.detail:
        return _answer_error(request, ClientGone("the client closed the connection inside its request"))
    if err.status_code >= 500:
        return _answer_bug(request, err)
    method, path = request.method, request.scope["path"]  # the URL is wrong where the Host header is
    sentences = {
        404: f"there is no route {path}; GET /docs lists what there is",
        405: f"{path} does not take {method}; GET /docs lists what it takes",
        413: f"the body is larger than {request.app.state.settings.max_body} bytes; send several requests",
    }
    known = InvalidRequest(sentences.get(err.status_code, err.detail))
    known.status = err.status_code
    known.headers = dict(err.headers or {})
    return _answer_error(request, known)


def _answer_empty_body(request: Request[Any, Any, State], _: ValidationException) -> Response[Any]:
    """The one thing that is left to Litestar's validation, as bodies are decoded by ``routes``."""
    return _answer_error(request, InvalidRequest("the body is empty; send a JSON object"))


def _answer_bug(request: Request[Any, Any, State], err: Exception) -> Response[Any]:
    """What nobody foresaw: the log says where it came from, the client has a number to ask about."""
    number = request_id(request.scope)
    log.error("unexpected error, request %s\n%s", number, logs.frames(err))
    return _answer_error(request, InferenceFailed(f"an internal error; the server's log has it as {number}"))


def request_id(scope: Scope) -> str:
    """The client's x-request-id, or a new one; the same for a whole request."""
    state = scope["state"]
    if "request_id" not in state:
        state["request_id"] = wire.request_id(scope["headers"])
    return str(state["request_id"])


async def _observe(message: Message, scope: Scope) -> None:
    """Give each answer its request id, and have it counted, traced and logged."""
    if message["type"] != "http.response.start":
        return
    timing = dict(message["headers"]).get(b"server-timing", b"").decode()
    headers = [*message["headers"], (b"x-request-id", request_id(scope).encode())]
    if vary := scope["state"].get("vary"):  # added here, as Litestar's CORS replaces a header of that name
        headers.append((b"vary", vary.encode()))
    message["headers"] = headers
    answer = _answer(message["status"], scope)
    state = scope["litestar_app"].state
    if state.tracing is not None:
        state.tracing.answered(answer)  # now, as the request's span ends with it
    # Not before the answer is on its way: the client need not wait for this.
    asyncio.get_running_loop().call_soon(_book, state.metrics, answer, timing)


def _book(metrics: Metrics, answer: Answer, timing: str) -> None:
    """Count an answer, and write its line; never a user's text."""
    metrics.answered(answer)
    fields = {
        name: getattr(answer, name)
        for name in ("request_id", "method", "route", "status", "model", "key", "error")
    } | {
        "inputs": answer.inputs or None,
        "tokens": answer.tokens or None,
        "duration_ms": round(answer.seconds * 1e3, 3),
        "timing": timing,
    }
    level = logging.DEBUG if answer.route in PROBES else logging.INFO
    log.log(level, "%s %s %s", answer.method, answer.route, answer.status, extra=fields)


def _answer(status: int, scope: Scope) -> Answer:
    """What is told of an answer; the handlers left it in the request's state."""
    state = scope["state"]
    method = str(scope.get("method"))
    return Answer(
        request_id=request_id(scope),
        method=method if method in METHODS else "other",
        route=str(scope.get("path_template") or "unknown"),
        status=status,
        seconds=time.perf_counter() - state["started"],
        key=state.get("key_name", ""),
        **{name: state[name] for name in ("error", *routes.TOLD) if name in state},
    )
