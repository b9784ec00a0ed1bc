"""A bridge for clients of Hugging Face's text-embeddings-inference: its routes, fields, headers and errors.

Its ``/embed`` becomes our ``/v1/embeddings`` and back. It serves one model; this bridge the first, unless a
request names another.
"""

import re
import time
from typing import Annotated

import msgspec
from litestar import MediaType, Response, Router, post, route
from litestar.datastructures import State
from litestar.enums import HttpMethod, RequestEncodingType
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body
from msgspec import Meta

from embed_onnx import __version__
from embed_onnx.errors import EmbedError, InvalidRequest
from embed_onnx.http import routes, wire
from embed_onnx.http.routes import ApiRequest, read
from embed_onnx.models.model import TOKENIZERS, Embedded
from embed_onnx.models.options import EmbeddingOptions
from embed_onnx.models.registry import Registry
from embed_onnx.settings import Settings

STATUSES = {400: 422, 500: 424}
"""Where its statuses are others than ours."""
ERROR_TYPES = {424: "Backend", 429: "Overloaded", 503: "Unhealthy"}
"""By its status; every other is a Validation error."""
SENTENCES = re.compile(rb'\{\s*"(?:source_sentence|sentences)"')
"""How the inputs of its /similarity begin."""
POOLING = {"lasttoken": "last_token"}
"""Where its names are others than ours."""
EMBED_BODY = Body(
    media_type=RequestEncodingType.JSON, examples=[Example(value={"inputs": ["Hello", "world"]})]
)

SIMILARITY_BODY = Body(
    media_type=RequestEncodingType.JSON,
    examples=[Example(value={"inputs": {"source_sentence": "Hello", "sentences": ["world"]}})],
)


Model = Annotated[str | None, Meta(description="Left out: the first model that is served.")]
Nested = Annotated[
    None,
    Meta(
        description="Any of the other fields, as Hugging Face's clients send some.",
        extra_json_schema={"extra": {"type": ["object", "null"]}},
    ),
]
"""The strict decoder takes null alone, so that ``foreign`` puts the fields where they belong."""


class TeiRequest(EmbeddingOptions, frozen=True, kw_only=True):
    """POST /embed; without ``normalize``, vectors have length 1."""

    inputs: Annotated[
        msgspec.Raw,
        Meta(
            description="A text, a list of texts, or token ids of the model's own.",
            extra_json_schema={"extra": wire.input_schema(empty_texts=True)},
        ),
    ]
    model: Model = None
    parameters: Nested = None


class SimilarityInputs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text, and those that it is compared with."""

    source_sentence: str
    sentences: list[str]


class SimilarityRequest(EmbeddingOptions, frozen=True, kw_only=True):
    """POST /similarity."""

    inputs: SimilarityInputs
    model: Model = None
    parameters: Nested = None


class Pooling(msgspec.Struct, frozen=True):
    """How token states become a vector; several modes are joined with ``+``."""

    pooling: str


class ModelType(msgspec.Struct, frozen=True):
    """What the model is for."""

    embedding: Pooling


class Info(msgspec.Struct, frozen=True, kw_only=True):
    """GET /info."""

    model_id: str
    model_sha: str | None
    model_dtype: str
    served_model_name: str
    model_type: ModelType
    max_concurrent_requests: int
    max_input_length: int
    max_batch_tokens: int
    max_batch_requests: int | None = None
    max_client_batch_size: int
    auto_truncate: bool
    tokenization_workers: int
    version: str
    sha: str | None = None
    docker_label: str | None = None


class TeiError(msgspec.Struct, frozen=True):
    """Every error on these routes."""

    error: str
    error_type: str


def answer_error(err: EmbedError) -> Response[TeiError]:
    """A failed request, with the status and in the shape that its clients know."""
    status = STATUSES.get(err.status, err.status)
    body = TeiError(routes.sentence(err, texts="inputs"), ERROR_TYPES.get(status, "Validation"))
    return Response(body, status_code=status, headers=err.headers, media_type=MediaType.JSON)


@post(
    "/embed",
    status_code=200,
    tags=["text-embeddings-inference"],
    responses={
        200: ResponseSpec(list[list[float]], description="A vector for each input.", generate_examples=False),
        **routes.errors(401, 404, 413, 415, 503, shape=TeiError, renumbered=STATUSES),
    },
    summary="Embed texts, as text-embeddings-inference does",
)
async def embed(data: Annotated[TeiRequest, EMBED_BODY], request: ApiRequest) -> Response[list[msgspec.Raw]]:
    """Embed one input or many; the answer is a list of vectors.

    `POST /` does the same, as clients that are given the server's URL alone send there.
    """
    if SENTENCES.match(data.inputs):
        raise InvalidRequest(
            "inputs is an object with sentences, which POST /similarity takes; send it there, or send texts",
            param="inputs",
        )
    asked = wire.EmbeddingRequest(
        input=data.inputs,
        model=data.model,
        **data.as_dict() | {"normalize": data.normalize is not False},
    )
    _, embedded = await routes.embed(request, asked, empty_texts=True)
    started: float = request.scope["state"]["started"]
    return Response(
        await routes.encode_vectors(embedded.vectors),
        headers=_headers(embedded, time.perf_counter() - started),
    )


def _headers(embedded: Embedded, seconds: float) -> dict[str, str]:
    """What its clients read of a request's cost; times in whole milliseconds."""
    times = {
        "x-compute-time": seconds,
        "x-total-time": seconds,
        "x-tokenization-time": embedded.tokenize_seconds,
        "x-queue-time": embedded.queue_seconds,
        "x-inference-time": embedded.infer_seconds,
    }
    return {
        "x-compute-type": "cpu",
        "x-compute-tokens": str(embedded.num_tokens),
        **{name: str(round(time * 1e3)) for name, time in times.items()},
        "server-timing": routes.server_timing(embedded),
    }


@read(
    "/info",
    tags=["text-embeddings-inference"],
    responses=routes.errors(401, shape=TeiError, renumbered=STATUSES),
    summary="Describe the first model, as text-embeddings-inference does",
)
async def info(state: State) -> Info:
    """The first model that is served, and what a request may hold."""
    registry: Registry = state.registry
    settings: Settings = state.settings
    _, found = registry.served(None)
    return Info(
        model_id=found.source.repo,
        model_sha=found.source.revision,
        model_dtype=found.precision,
        served_model_name=found.name,
        model_type=ModelType(Pooling("+".join(POOLING.get(mode, mode) for mode in found.output.pooling))),
        # Neither is limited but by the tokens that may wait; a request has one at least.
        max_concurrent_requests=settings.queue_tokens,
        max_batch_tokens=settings.queue_tokens,
        max_input_length=found.max_tokens or settings.queue_tokens,
        max_client_batch_size=settings.max_inputs,
        auto_truncate=settings.truncate,
        tokenization_workers=TOKENIZERS,
        version=__version__,
    )


@post(
    "/similarity",
    status_code=200,
    tags=["text-embeddings-inference"],
    responses=routes.errors(401, 404, 413, 415, 503, shape=TeiError, renumbered=STATUSES),
    summary="Compare a text with others, as text-embeddings-inference does",
)
async def similarity(
    data: Annotated[SimilarityRequest, SIMILARITY_BODY], request: ApiRequest
) -> Response[list[float]]:
    """The cosines of a text to each of some others."""
    if not data.inputs.sentences:
        raise InvalidRequest("inputs.sentences is an empty list; send at least one text", param="inputs")
    texts = [data.inputs.source_sentence, *data.inputs.sentences]
    asked = wire.EmbeddingRequest(
        input=msgspec.Raw(msgspec.json.encode(texts)),
        model=data.model,
        **data.as_dict() | {"normalize": True},
    )
    started: float = request.scope["state"]["started"]
    _, embedded = await routes.embed(request, asked, empty_texts=True)
    cosines = embedded.vectors[1:] @ embedded.vectors[0]
    return Response(cosines.tolist(), headers=_headers(embedded, time.perf_counter() - started))


embed_at_root = post("/", status_code=200, include_in_schema=False)(embed.fn)


@route("/", http_method=HttpMethod.OPTIONS, include_in_schema=False)
async def root_methods() -> Response[None]:
    """The methods of a path that is also the page's; registered first, or Litestar tells POST alone."""
    return Response(None, status_code=204, headers={"allow": "GET, HEAD, OPTIONS, POST"})


def router() -> Router:
    """The routes of the bridge, which ask for a key where the server has any."""
    return Router(
        "/",
        route_handlers=[embed, similarity, root_methods, embed_at_root, info],
        guards=[routes.require_key],
        request_class=ApiRequest,
        opt={"answer_error": answer_error},
    )
