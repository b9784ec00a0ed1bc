"""Ollama's routes that embed, the newer and the older one. Durations are in nanoseconds, as its own are."""

import re
import time
from typing import Annotated

import msgspec
from litestar import post
from litestar.enums import RequestEncodingType
from litestar.openapi.spec import Example
from litestar.params import Body
from msgspec import UNSET, Meta, UnsetType

from embed_onnx.errors import InvalidRequest
from embed_onnx.http import vectors, work
from embed_onnx.http.body.inputs import Field
from embed_onnx.http.body.options import EmbeddingOptions
from embed_onnx.http.ollama.errors import ERRORS
from embed_onnx.http.request import ApiRequest
from embed_onnx.http.work import Ask
from embed_onnx.models.registry import Registry

NOTHING = re.compile(rb'null|""|\[\s*\]')
"""An input that only has a model loaded."""
TEXTS = re.compile(rb'\[?\s*"')
"""How texts begin, and token ids do not."""
PROMPT = Field("prompt", is_list=False)
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
"""The strict decoder takes null alone, so that ``foreign`` moves the options to where they belong."""


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

    model: Annotated[str, Meta(description="As the request names it.")]
    embeddings: Annotated[
        list[msgspec.Raw],
        Meta(
            description="The vectors, in the order of `input`.",
            extra_json_schema={"extra": {"type": "array", "items": VECTOR_SCHEMA}},
        ),
    ]
    total_duration: Annotated[int, Meta(description="Nanoseconds of the request.")]
    load_duration: Annotated[int, Meta(description="Nanoseconds until its model was in memory.")]
    prompt_eval_count: Annotated[int, Meta(description="Tokens of all texts, special tokens included.")]


class EmbeddingsRequest(EmbeddingOptions, frozen=True, kw_only=True):
    """POST /api/embeddings, the older form; ``prompt`` is the text."""

    model: Model
    prompt: Annotated[
        str | None, Meta(description="The text to embed; nothing only has the model loaded.")
    ] = None
    options: Options = None


class EmbeddingsResponse(msgspec.Struct, frozen=True):
    """One vector, or none where there was no text."""

    embedding: Annotated[
        msgspec.Raw, Meta(description="The vector.", extra_json_schema={"extra": VECTOR_SCHEMA})
    ]


@post(
    "/api/embed",
    status_code=200,
    tags=["Ollama"],
    responses=ERRORS.responses(401, 404, 413, 415, 503),
    summary="Embed texts, as Ollama does",
)
async def embed(data: Annotated[OllamaRequest, EMBED_BODY], request: ApiRequest) -> OllamaResponse:
    """Embed one text or many."""
    started = time.perf_counter_ns()
    await _load(request, data.model)
    loaded = time.perf_counter_ns()
    embeddings: list[msgspec.Raw] = []
    num_tokens = 0
    if data.input is UNSET or NOTHING.fullmatch(data.input):
        if data.prompt:
            raise InvalidRequest(
                "prompt is put before each text, and there is none; send the text as input, or to POST "
                "/api/embeddings",
                param="prompt",
            )
    elif not TEXTS.match(data.input):
        raise InvalidRequest("input is of the wrong type; send a text or a list of texts", param="input")
    else:
        options = msgspec.structs.replace(data, normalize=data.normalize is not False)
        ask = Ask(model=data.model, input=data.input, options=options, empty_inputs="embed")
        _, embedded = await work.run(request, ask)
        embeddings, num_tokens = await vectors.encode_all(embedded.vectors), embedded.num_tokens
    return OllamaResponse(
        model=data.model,
        embeddings=embeddings,
        total_duration=time.perf_counter_ns() - started,
        load_duration=loaded - started,
        prompt_eval_count=num_tokens,
    )


@post(
    "/api/embeddings",
    status_code=200,
    tags=["Ollama"],
    responses=ERRORS.responses(401, 404, 413, 415, 503),
    summary="Embed a text, as older clients of Ollama do",
)
async def embed_prompt(
    data: Annotated[EmbeddingsRequest, EMBEDDINGS_BODY], request: ApiRequest
) -> EmbeddingsResponse:
    """Embed one text."""
    await _load(request, data.model)
    if not data.prompt:
        return EmbeddingsResponse(msgspec.Raw(b"[]"))
    # On this route alone, prompt is the text and not what is put before it.
    options = msgspec.structs.replace(data, prompt=None, normalize=data.normalize is not False)
    _, embedded = await work.run(
        request, Ask(model=data.model, input=[data.prompt], options=options, field=PROMPT)
    )
    (embedding,) = vectors.encode(embedded.vectors)
    return EmbeddingsResponse(embedding)


async def _load(request: ApiRequest, name: str) -> None:
    """Have a model in memory."""
    registry: Registry = request.app.state.registry
    with registry.use(name) as (model, _):
        await model.files.load_async()
