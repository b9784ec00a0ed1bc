"""The handlers, each a few lines; what they send and take is in ``wire``."""

import asyncio
import contextlib
import functools
import re
import time
import uuid
from collections.abc import Coroutine, Mapping
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import MediaType, Request, Response, Router, post, route
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.enums import HttpMethod, RequestEncodingType
from litestar.handlers import BaseRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body

from embed_onnx.artifact.manifest import Manifest, TruncationSide
from embed_onnx.engine.vectors import Vector
from embed_onnx.errors import (
    ClientGone,
    EmbedError,
    Forbidden,
    InvalidApiKey,
    InvalidRequest,
    ReloadFailed,
    RequestTooSlow,
    SetupError,
    TimedOut,
    WrongMediaType,
)
from embed_onnx.http import body, keys, wire
from embed_onnx.http.foreign import NULL
from embed_onnx.http.keys import Key, Keys
from embed_onnx.models.model import Embedded, Model, Options
from embed_onnx.models.options import Direction, TextOptions
from embed_onnx.models.registry import Registry
from embed_onnx.models.tokenizer import Piece
from embed_onnx.observe.metrics import Metrics
from embed_onnx.settings import Settings

T = TypeVar("T")

SIDES: dict[Direction, TruncationSide] = {"Right": "right", "Left": "left"}
TOLD = ("model", "inputs", "tokens", "embedded", "embedded_ns")
"""What handlers leave in a request's state for the metrics, the log and the trace: ``metrics.Answer``."""
VECTORS_A_SLICE = 64
"""Vectors written as JSON in one go, about 2 ms of numbers; between slices the event loop has its turn."""

read = functools.partial(route, http_method=[HttpMethod.GET, HttpMethod.HEAD])
"""The decorator of whatever can be read: HEAD is answered as GET is, without the body."""

FORM = "application/x-www-form-urlencoded"
UNDECLARED = ("", FORM)
"""Of a body whose sender did not say what it is: nothing, or curl's default. A web page may send these to any
server without asking it first; its requests have an Origin, and must declare JSON."""

EMBEDDING_BODY = Body(
    media_type=RequestEncodingType.JSON,
    examples=[Example(value={"input": ["Hello", "world"], "encoding_format": "float"})],
)
TOKENIZE_BODY = Body(media_type=RequestEncodingType.JSON, examples=[Example(value={"input": "Hello, world"})])
ERRORS = {
    400: "The request is wrong; the error names the field.",
    401: "The API key is missing or unknown.",
    403: "The API key is not an admin's.",
    404: "The model is not served here.",
    405: "The route does not take this method; see Allow.",
    408: "The headers or the body took too long to arrive.",
    413: "The body is larger than the server takes.",
    415: "The body is not declared as plain JSON.",
    429: "The queue is full, or would make it late, or too many bytes are worked on; see Retry-After.",
    431: "The headers are larger than the server takes.",
    500: "A bug, or a vector that is not finite.",
    503: "Models are loading, the server is going down, or the request took or would take too long.",
}
ABOUT_INPUT = r"^input(?=\[| (?:has|is|mixes) (?!not a field))|(?<=`\$\.)input\b"
"""Where an error speaks of the field, but for the one that says that there is none of that name."""
UNROUTED = (400, 405, 431)
"""What is refused before a route is found, and so in OpenAI's shape; but for 405 below Ollama's path."""


def errors(
    *statuses: int, shape: type = wire.ErrorResponse, renumbered: Mapping[int, int] = MappingProxyType({})
) -> dict[int, ResponseSpec]:
    """What an operation may answer besides success: what every one may, and these.

    ``shape`` is that of the route's own errors, and ``renumbered`` says which statuses it has others for.
    """
    told: dict[int, tuple[int, type]] = {status: (status, wire.ErrorResponse) for status in UNROUTED}
    told |= {renumbered.get(status, status): (status, shape) for status in {400, 408, 429, 500, *statuses}}
    return {
        status: ResponseSpec(body, description=ERRORS[meaning], generate_examples=False)
        for status, (meaning, body) in sorted(told.items())
    }


def answer_error(err: EmbedError) -> Response[wire.ErrorResponse]:
    """A failed request, in OpenAI's shape; bridges to other servers' clients have their own."""
    return Response(
        wire.error_response(err), status_code=err.status, headers=err.headers, media_type=MediaType.JSON
    )


def sentence(err: EmbedError, *, texts: str) -> str:
    """What an error says, on a route that has its texts in another field than ``input``."""
    return re.sub(ABOUT_INPUT, texts, str(err)) if err.param == "input" else str(err)


class ApiRequest(Request[Any, Any, State]):
    """Decodes a body once and strictly, straight into the struct that its handler declares."""

    async def json(self) -> Any:
        """The handler's struct.

        Raises:
            WrongMediaType: The body is not declared as JSON.
            InvalidRequest: The body is not what the struct says.
        """
        declared = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if declared != "application/json" and (declared not in UNDECLARED or "origin" in self.headers):
            raise WrongMediaType(f"the content type is {declared!r}; send application/json")
        encoding = self.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise WrongMediaType(f"the content encoding is {encoding!r}; send the body as it is")
        field = self.route_handler.parsed_data_field
        assert field is not None  # noqa: S101 - only handlers with a body get here
        kind: type[msgspec.Struct] = field.annotation
        sent = await self.body()
        if declared == FORM and not sent.lstrip().startswith((b"{", b"[", body.BYTE_ORDER_MARK)):
            raise WrongMediaType(
                f"the content type is {declared!r}, and so is the body; send application/json"
            )
        return body.read(sent, kind)

    async def body(self) -> bytes:
        """The body, once it is there.

        Raises:
            RequestTooSlow: It did not arrive in time.
        """
        seconds = self.app.state.settings.request_timeout
        try:
            async with asyncio.timeout(seconds):
                return await super().body()
        except TimeoutError:
            raise RequestTooSlow(f"the body was not complete within {seconds:g} s; send it at once") from None


async def require_key(connection: ASGIConnection[Any, Any, Any, State], _handler: BaseRouteHandler) -> None:
    """Refuse a request without one of the server's API keys, if it has any.

    Async, though it waits for nothing: Litestar would run a plain function in a thread.

    Raises:
        InvalidApiKey: The key is missing or unknown.
    """
    _find_key(connection)


async def require_admin(connection: ASGIConnection[Any, Any, Any, State], _handler: BaseRouteHandler) -> None:
    """Refuse a request without an admin key; a server that has none refuses all.

    Raises:
        InvalidApiKey: The key is missing or unknown.
        Forbidden: The key is not an admin's.
    """
    key = _find_key(connection)
    if not connection.app.state.api_keys.has_admin:
        raise Forbidden(
            "this server has no admin key; make one with `embed-onnx key new NAME --admin --file FILE` and "
            "start the server with --api-keys-file FILE"
        )
    if key is None or not key.admin:
        raise Forbidden("this API key is not an admin's; ask whoever runs the server for one that is")


def _find_key(connection: ASGIConnection[Any, Any, Any, State]) -> Key | None:
    """The request's key, its name left in the request's state; None where the server has no keys."""
    known: Keys = connection.app.state.api_keys
    connection.scope["state"]["key_name"] = ""
    if not known:
        return None
    scheme, _, given = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        given = connection.headers.get("api-key", "")  # Azure's
    if not given:
        raise InvalidApiKey(
            "this server asks for an API key; send it as Authorization: Bearer KEY, or as api-key: KEY"
        )
    # Litestar reads headers as latin-1; clients and settings write keys in UTF-8.
    key = known.find(given.strip().encode("latin-1").decode(errors="replace"))
    if key is None:
        raise InvalidApiKey("this API key is unknown here; ask whoever runs the server for one")
    connection.scope["state"]["key_name"] = key.name
    return key


@post(
    ["/v1/embeddings", "/embeddings"],
    status_code=200,
    tags=["embeddings"],
    responses=errors(401, 404, 413, 415, 503),
    summary="Embed texts",
)
async def create_embeddings(
    data: Annotated[wire.EmbeddingRequest, EMBEDDING_BODY], request: ApiRequest
) -> Response[wire.EmbeddingResponse]:
    """Embed one input or many. `data` keeps the order of `input`."""
    found, embedded = await embed(request, data)
    content = wire.EmbeddingResponse(
        data=await _items(embedded, data.encoding_format),
        model=found.name,
        usage=wire.Usage(embedded.num_tokens, embedded.num_tokens),
        id=str(uuid.uuid4()),
        created=int(time.time()),
    )
    return Response(content, headers={"server-timing": server_timing(embedded)})


async def embed(
    request: ApiRequest, asked: wire.EmbeddingRequest, *, empty_texts: bool = False
) -> tuple[Manifest, Embedded]:
    """What was asked for, and by which model; every route that embeds comes down to this.

    Raises:
        EmbedError: The request is wrong, cannot be served now, or its client went away.
    """
    registry: Registry = request.app.state.registry
    settings: Settings = request.app.state.settings
    _check_prompt(asked, settings.max_characters)
    zeros = settings.empty_texts == "zero" and not empty_texts
    inputs = wire.parse_input(
        asked.input,
        max_inputs=settings.max_inputs,
        max_characters=settings.max_characters,
        empty_texts=empty_texts or zeros,
        empty_ids=zeros,
    )
    _check_prompted(asked.prompt or "", len(inputs), settings.max_body)
    with registry.use(asked.model) as (model, suffix):
        _tell(request, model=model.manifest.name, inputs=len(inputs))
        _check_pooling(asked.pooling, model.manifest)
        options = msgspec.structs.replace(
            _options(asked, suffix, truncate=settings.truncate),
            dimensions=asked.dimensions,
            normalize=asked.normalize,
            zeros=zeros,
        )
        seconds = settings.request_timeout
        work = model.embed(inputs, options, tenant=request.scope["state"]["key_name"], seconds=seconds)
        embedded = await _while_wanted(request, work, seconds=seconds)
    _tell(request, tokens=embedded.num_tokens, embedded=embedded, embedded_ns=time.time_ns())
    return model.manifest, embedded


def _check_prompt(asked: TextOptions, max_characters: int) -> None:
    """Refuse a prompt that is too long, and several ways of naming one; the model's name gives way."""
    given = [name for name in ("prompt", "prompt_name", "input_type") if getattr(asked, name) is not None]
    if len(given) > 1:
        raise InvalidRequest(f"{' and '.join(given)} are both given; send one of them", param=given[0])
    if asked.prompt is not None and len(asked.prompt) > max_characters:
        raise InvalidRequest(
            f"prompt has {len(asked.prompt)} characters and at most {max_characters} are taken; shorten it",
            param="prompt",
        )


def _options(asked: TextOptions, suffix: str | None, *, truncate: bool) -> Options:
    """What is asked for texts; ``suffix`` is a prompt in the model's name, ``truncate`` the default.

    Raises:
        InvalidRequest: Two fields contradict each other.
    """
    word = truncate if asked.truncate is None else asked.truncate
    directions = [asked.truncation_direction] if asked.truncation_direction else []
    if isinstance(word, str) and word != "NONE":
        directions.append("Left" if word == "START" else "Right")
    if len(set(directions)) > 1:
        raise InvalidRequest(
            f"truncate is {word} and truncation_direction is {directions[0]}, which is the other side; send "
            "one of them",
            param="truncation_direction",
        )
    return Options(
        prompt=asked.prompt,
        prompt_name=suffix if asked.prompt_name is None else asked.prompt_name,
        input_type=asked.input_type,
        truncate=word not in (False, "NONE"),
        truncation_side=SIDES[directions[0]] if directions else None,
        max_tokens=asked.max_tokens,
        add_special_tokens=asked.add_special_tokens is not False,
    )


def _check_pooling(asked: str | None, served: Manifest) -> None:
    """Refuse any pooling but the model's own, whatever other APIs call that."""
    if asked is None:
        return
    plain = "".join(filter(str.isalpha, asked.lower())).removesuffix("tokens").removesuffix("token")
    own = "".join(served.output.pooling).removesuffix("token")
    if {"average": "mean", "avg": "mean"}.get(plain, plain) != own:
        modes = "+".join(served.output.pooling)
        raise InvalidRequest(
            f"pooling is {asked[:80]!r}, and {served.name} pools by {modes}; leave it out",
            param="pooling",
        )


def _check_prompted(prompt: str, inputs: int, max_body: int) -> None:
    """Refuse a prompt that comes, before each of the inputs, to more text than a body may hold."""
    characters = len(prompt) * inputs
    if characters > max_body:
        raise InvalidRequest(
            f"prompt has {len(prompt)} characters, which are {characters} before {inputs} inputs, and at "
            f"most {max_body} are taken; shorten it, or send fewer inputs",
            param="prompt",
        )


@post(
    "/tokenize",
    status_code=200,
    tags=["embeddings"],
    responses=errors(401, 404, 413, 415, 503),
    summary="Tokenize texts",
)
async def tokenize(
    data: Annotated[wire.TokenizeRequest, TOKENIZE_BODY], request: ApiRequest, state: State
) -> wire.TokenizeResponse | list[list[Piece]]:
    """Show what a model sees of each text: its tokens, special tokens included, cut at its limit.

    With `inputs` in place of `input`, all its tokens, and where in the text's bytes they come from, as
    text-embeddings-inference does.
    """
    registry: Registry = state.registry
    settings: Settings = state.settings
    _check_prompt(data, settings.max_characters)
    sent = _one_of(data.input, data.inputs)
    with_places = sent is data.inputs
    try:
        inputs = wire.parse_input(
            sent,
            max_inputs=settings.max_inputs,
            max_characters=settings.max_characters,
            empty_texts=with_places,
        )
    except InvalidRequest as err:
        texts_field = "inputs" if with_places else "input"
        raise InvalidRequest(sentence(err, texts=texts_field), param=texts_field) from None
    texts = [item for item in inputs if isinstance(item, str)]
    if with_places and len(texts) < len(inputs):
        raise InvalidRequest("inputs is token ids; send texts", param="inputs")
    _check_prompted(data.prompt or "", len(inputs), settings.max_body)
    with registry.use(data.model) as (model, suffix):
        _tell(request, model=model.manifest.name, inputs=len(inputs))
        options = _options(data, suffix, truncate=True)
        if with_places:
            pieces = model.show_pieces(texts, options)
            return await _while_wanted(request, pieces, seconds=settings.request_timeout)
        work = _tokenized(model, inputs, options)
        items = await _while_wanted(request, work, seconds=settings.request_timeout)
    _tell(request, tokens=sum(item.num_tokens for item in items))
    return wire.TokenizeResponse(model=model.manifest.name, data=items)


def _one_of(ours: msgspec.Raw | msgspec.UnsetType, theirs: msgspec.Raw | msgspec.UnsetType) -> msgspec.Raw:
    """The inputs of a request that has them in one of two fields."""
    sent = [value for value in (ours, theirs) if not isinstance(value, msgspec.UnsetType) and value != NULL]
    if not sent:
        raise InvalidRequest(
            "The request is not valid: missing required field `input`, or `inputs` for the answer of "
            "text-embeddings-inference",
            param="input",
        )
    if len(sent) > 1:
        raise InvalidRequest("input and inputs are both there; send one of them", param="inputs")
    return sent[0]


@post(
    "/admin/reload",
    status_code=200,
    tags=["operations"],
    responses=errors(401, 403),
    summary="Reload models and keys",
)
async def reload_now(state: State) -> wire.Reloaded:
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
    return wire.Reloaded(models)


async def reload(state: State) -> list[str]:
    """Reload models and keys; says which models are served. One reload at a time.

    Raises:
        SetupError: A model cannot be loaded, or the key file is wrong.
    """
    registry: Registry = state.registry
    async with state.reloading:  # or keys that were read before those of another could take their place
        found = await asyncio.to_thread(keys.load, state.settings)
        names = await asyncio.to_thread(registry.reload)
        state.api_keys = found
    return names


@read("/health", tags=["operations"], responses=errors(), summary="Is the process alive?")
async def health() -> wire.Status:
    """200 while the process lives."""
    return wire.Status("ok")


@read(
    "/ready",
    tags=["operations"],
    responses=errors(503),
    summary="Can every model embed?",
)
async def ready(state: State) -> wire.Readiness:
    """200 when every model can embed; 503 with the reason while loading or draining.

    It tells the seconds since a sequence was last embedded. If that is long ago, one token is embedded now,
    and 503 is the answer if that fails.
    """
    registry: Registry = state.registry
    return wire.Readiness("ready", seconds_since_success=await registry.check_alive())


@read(
    "/metrics",
    tags=["operations"],
    media_type=MediaType.TEXT,
    responses=errors(),
    summary="Prometheus metrics",
)
async def show_metrics(request: Request[Any, Any, State], state: State) -> Response[bytes]:
    """Prometheus text, or OpenMetrics to those who accept it."""
    metrics: Metrics = state.metrics
    page, content_type = metrics.page(request.headers.get("accept", ""))
    return Response(page, headers={"content-type": content_type})


def routers() -> list[Router]:
    """The routes that ask for a key where the server has any, and those that never do."""
    guarded = [create_embeddings, tokenize]
    return [
        Router("/", route_handlers=guarded, guards=[require_key], request_class=ApiRequest),
        Router("/", route_handlers=[reload_now], guards=[require_admin]),
        Router("/", route_handlers=[health, ready, show_metrics]),
    ]


def _tell(request: ApiRequest, **facts: Any) -> None:
    """Leave facts of ``TOLD`` for when the answer goes out."""
    request.scope["state"].update(facts)


async def _while_wanted(request: ApiRequest, work: Coroutine[Any, Any, T], *, seconds: float) -> T:
    """Run work until it is done, the time is up, or the client goes away; the last two cancel it."""
    working = asyncio.create_task(work)
    leaving = asyncio.ensure_future(request.receive())  # after the body comes only the disconnect
    try:
        done, _ = await asyncio.wait({working, leaving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if working in done:
            return working.result()
        if leaving in done:
            raise ClientGone("the client closed the connection before its answer")
        raise TimedOut(
            f"not done within {seconds:g} s, as the server is busy; try again, or send fewer inputs"
        )
    finally:
        for task in (working, leaving):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task


async def _tokenized(model: Model, inputs: wire.Inputs, options: Options) -> list[wire.Tokenized]:
    return [
        wire.Tokenized(
            index=index,
            tokens=words,
            ids=item.ids,
            num_tokens=item.num_tokens,
            truncated=item.truncated or msgspec.UNSET,
        )
        for index, (item, words) in enumerate(await model.show_tokens(inputs, options))
    ]


async def _items(embedded: Embedded, encoding_format: wire.EncodingFormat | None) -> list[wire.Embedding]:
    encoded = await encode_vectors(embedded.vectors, encoding_format)
    return [
        wire.Embedding(
            index=index,
            embedding=vector,
            num_tokens=tokens.num_tokens,
            truncated=tokens.truncated or msgspec.UNSET,
        )
        for index, (vector, tokens) in enumerate(zip(encoded, embedded.tokens, strict=True))
    ]


async def encode_vectors(
    vectors: Vector, encoding_format: wire.EncodingFormat | None = None
) -> list[msgspec.Raw]:
    """Each of some vectors [texts, dimensions] as JSON, without holding up the event loop."""
    encoded = []
    for index, vector in enumerate(vectors):
        if index % VECTORS_A_SLICE == VECTORS_A_SLICE - 1:
            await asyncio.sleep(0)
        encoded.append(wire.encode_vector(vector, encoding_format))
    return encoded


def server_timing(embedded: Embedded) -> str:
    """The Server-Timing header (W3C), in milliseconds."""
    stages = {
        "tokenize": embedded.tokenize_seconds,
        "queue": embedded.queue_seconds,
        "infer": embedded.infer_seconds,
    }
    return ", ".join(f"{name};dur={seconds * 1e3:.3f}" for name, seconds in stages.items())
