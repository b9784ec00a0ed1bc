"""A bridge for clients of Ollama that embed: its routes, fields and errors.

Its ``/api/embed`` becomes our ``/v1/embeddings`` and back. Durations are in nanoseconds, as its own are.
"""

import functools
import re
import time
from typing import Annotated

import msgspec
from litestar import MediaType, Response, Router, post
from litestar.enums import RequestEncodingType
from litestar.openapi.spec import Example
from litestar.params import Body
from msgspec import UNSET, Meta, UnsetType

from embed_onnx.errors import EmbedError, InvalidRequest
from embed_onnx.http import routes, wire
from embed_onnx.http.routes import ApiRequest
from embed_onnx.models.options import EmbeddingOptions
from embed_onnx.models.registry import Registry

PREFIX = "/api/"
"""Of all its routes; what is wrong with a path or method below it is answered in its shape."""
NOTHING = re.compile(rb'null|""|\[\s*\]')
"""An input that only has a model loaded."""
TEXTS = re.compile(rb'\[?\s*"')
"""How texts begin, and token ids do not."""
VECTOR_SCHEMA = {"type": "array", "items": {"type": "number"}}
INPUT_SCHEMA = {
    "any_of": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "null"}]
}
EMBED_BODY = Body(
    media_type=RequestEncodingType.JSON,
    examples=[Example(value={"model": "all-MiniLM-L6-v2", "input": ["Hello", "world"]})],
)
EMBEDDINGS_BODY = Body(
    media_type=RequestEncodingType.JSON,
    examples=[Example(value={"model": "all-MiniLM-L6-v2", "prompt": "Hello, world"})],
)

Model = Annotated[str, Meta(description="A name or alias; `:latest` behind it changes nothing.")]


Options = Annotated[
    None,
    Meta(
        description="Of Ollama's options, `num_ctx` is a limit of tokens where it is lower than the model's; "
        "the others are ignored, as they change no embedding.",
        extra_json_schema={
            "extra": {
                "type": ["object", "null"],
                "properties": {"num_ctx": {"type": ["integer", "null"], "minimum": 1}},
            }
        },
    ),
]
"""The strict decoder takes null alone, so that ``foreign`` puts the options where they belong."""


class OllamaRequest(EmbeddingOptions, frozen=True, kw_only=True):
    """POST /api/embed; ``keep_alive`` is ignored. Without ``normalize``, vectors have length 1."""

    model: Model
    input: Annotated[
        msgspec.Raw | UnsetType,
        Meta(
            description="A text or a list of texts; nothing only has the model loaded.",
            extra_json_schema={"extra": INPUT_SCHEMA},
        ),
    ] = UNSET
    options: Options = None


class OllamaResponse(msgspec.Struct, frozen=True, kw_only=True):
    """``embeddings`` keeps the order of ``input``; ``model`` is as the request names it."""

    model: str
    embeddings: Annotated[
        list[msgspec.Raw], Meta(extra_json_schema={"extra": {"type": "array", "items": VECTOR_SCHEMA}})
    ]
    total_duration: int
    load_duration: int
    prompt_eval_count: int


class EmbeddingsRequest(EmbeddingOptions, frozen=True, kw_only=True):
    """POST /api/embeddings, the older form; ``prompt`` is the text."""

    model: Model
    prompt: Annotated[
        str | None, Meta(description="The text to embed; nothing only has the model loaded.")
    ] = None
    options: Options = None


class EmbeddingsResponse(msgspec.Struct, frozen=True):
    """One vector, or none where there was no text."""

    embedding: Annotated[msgspec.Raw, Meta(extra_json_schema={"extra": VECTOR_SCHEMA})]


class OllamaError(msgspec.Struct, frozen=True):
    """Every error on these routes."""

    error: str


errors = functools.partial(routes.errors, 405, shape=OllamaError)
"""What these operations may answer besides success; a wrong method is in their shape, too."""


def answer_error(err: EmbedError) -> Response[OllamaError]:
    """A failed request, in the shape that its clients know."""
    return Response(
        OllamaError(str(err)), status_code=err.status, headers=err.headers, media_type=MediaType.JSON
    )


@post(
    "/api/embed",
    status_code=200,
    tags=["Ollama"],
    responses=errors(401, 404, 413, 415, 503),
    summary="Embed texts, as Ollama does",
)
async def embed(data: Annotated[OllamaRequest, EMBED_BODY], request: ApiRequest) -> Response[OllamaResponse]:
    """Embed one text or many."""
    return await _embed(request, data)


@post(
    "/api/embeddings",
    status_code=200,
    tags=["Ollama"],
    responses=errors(401, 404, 413, 415, 503),
    summary="Embed a text, as older clients of Ollama do",
)
async def embed_prompt(
    data: Annotated[EmbeddingsRequest, EMBEDDINGS_BODY], request: ApiRequest
) -> Response[EmbeddingsResponse]:
    """Embed one text."""
    text = msgspec.Raw(msgspec.json.encode(data.prompt))
    options = data.as_dict() | {"prompt": None}
    try:
        answer = await _embed(request, OllamaRequest(model=data.model, input=text, **options))
    except InvalidRequest as err:  # it speaks of ours
        err.args = (routes.sentence(err, texts="prompt").replace("prompt[0]", "prompt", 1),)
        raise
    vector = next(iter(answer.content.embeddings), msgspec.Raw(b"[]"))
    return Response(EmbeddingsResponse(vector), headers=answer.headers)


async def _embed(request: ApiRequest, data: OllamaRequest) -> Response[OllamaResponse]:
    """Have the model in memory, and embed what there is to embed."""
    started = time.perf_counter_ns()
    registry: Registry = request.app.state.registry
    with registry.use(data.model) as (model, _):
        await model.prepare_async()
    loaded = time.perf_counter_ns()
    nothing = data.input is UNSET or NOTHING.fullmatch(data.input)
    if nothing and data.prompt:
        raise InvalidRequest(
            "prompt is put before each text, and there is none; send the text as input, or to POST "
            "/api/embeddings",
            param="prompt",
        )
    vectors: list[msgspec.Raw] = []
    num_tokens, headers = 0, dict[str, str]()
    if data.input is not UNSET and not nothing:
        vectors, num_tokens, headers = await _vectors(
            request,
            wire.EmbeddingRequest(
                input=data.input,
                model=data.model,
                **data.as_dict() | {"normalize": data.normalize is not False},
            ),
        )
    content = OllamaResponse(
        model=data.model,
        embeddings=vectors,
        total_duration=time.perf_counter_ns() - started,
        load_duration=loaded - started,
        prompt_eval_count=num_tokens,
    )
    return Response(content, headers=headers)


async def _vectors(
    request: ApiRequest, asked: wire.EmbeddingRequest
) -> tuple[list[msgspec.Raw], int, dict[str, str]]:
    """Vectors as JSON, the number of tokens, and the headers."""
    if not TEXTS.match(asked.input):
        raise InvalidRequest("input is of the wrong type; send a text or a list of texts", param="input")
    _, embedded = await routes.embed(request, asked, empty_texts=True)
    headers = {"server-timing": routes.server_timing(embedded)}
    return await routes.encode_vectors(embedded.vectors), embedded.num_tokens, headers


def router() -> Router:
    """The routes of the bridge, which ask for a key where the server has any."""
    return Router(
        "/",
        route_handlers=[embed, embed_prompt],
        guards=[routes.require_key],
        request_class=ApiRequest,
        opt={"answer_error": answer_error},
    )
