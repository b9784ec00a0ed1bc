"""The wire of Hugging Face's text-embeddings-inference: its routes, fields, headers and errors.

It serves one model; here that is the first, unless a request names another.
"""

import re
import time
from typing import Annotated

import msgspec
from litestar import Response, post, route
from litestar.datastructures import State
from litestar.enums import HttpMethod, RequestEncodingType
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body
from msgspec import Meta

from embed_onnx import __version__
from embed_onnx.artifact.manifest import Dense, Output
from embed_onnx.errors import EmbedError, InvalidRequest
from embed_onnx.http import vectors, work
from embed_onnx.http.body import inputs
from embed_onnx.http.body.inputs import Field
from embed_onnx.http.body.options import EmbeddingOptions
from embed_onnx.http.dialect import Dialect
from embed_onnx.http.errors import ErrorShape
from embed_onnx.http.record import current_record
from embed_onnx.http.request import ApiRequest, read
from embed_onnx.http.response import ApiResponse
from embed_onnx.http.work import Ask
from embed_onnx.models import tasks
from embed_onnx.models.model import Embedded
from embed_onnx.models.registry import Registry
from embed_onnx.models.request_tokenizer import TOKENIZERS
from embed_onnx.settings import Settings

ERROR_TYPES = {424: "Backend", 429: "Overloaded", 503: "Unhealthy"}
"""By its status; every other is a Validation error."""
SENTENCES = re.compile(rb'\{\s*"(?:source_sentence|sentences)"')
"""How the inputs of its /similarity begin."""
POOLING = {"lasttoken": "last_token"}
"""Where its names are others than ours."""
INPUTS = Field("inputs")
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
"""The strict decoder takes null alone, so that ``foreign`` moves the fields to where they belong."""


class TeiRequest(EmbeddingOptions, frozen=True, kw_only=True):
    """POST /embed; without ``normalize``, vectors have length 1."""

    inputs: Annotated[
        msgspec.Raw,
        Meta(
            description="A text, a list of texts, or token ids of the model's own.",
            extra_json_schema={"extra": inputs.schema(empty_texts=True)},
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


class Labels(msgspec.Struct, frozen=True):
    """What scores are of, by place and by name."""

    id2label: dict[str, str]
    label2id: dict[str, int]


class ModelType(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the model is for: one of these."""

    embedding: Pooling | None = None
    reranker: Labels | None = None
    classifier: Labels | None = None


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


def _error(err: EmbedError, status: int) -> TeiError:
    return TeiError(str(err), ERROR_TYPES.get(status, "Validation"))


ERRORS = ErrorShape(body=TeiError, write=_error, statuses={400: 422, 500: 424})


@post(
    "/embed",
    status_code=200,
    tags=["text-embeddings-inference"],
    responses={
        200: ResponseSpec(list[list[float]], description="A vector for each input.", generate_examples=False),
        **ERRORS.responses(401, 404, 413, 415, 503),
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
    options = msgspec.structs.replace(data, normalize=data.normalize is not False)
    _, embedded = await work.run(
        request,
        Ask(model=data.model, input=data.inputs, options=options, field=INPUTS, empty_inputs="embed"),
    )
    return ApiResponse(await vectors.encode_all(embedded.vectors), headers=_headers(request, embedded))


def _headers(request: ApiRequest, embedded: Embedded) -> dict[str, str]:
    """What its clients read of a request's cost; times in whole milliseconds."""
    seconds = time.perf_counter() - current_record(request.scope).started
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
    }


@read(
    "/info",
    tags=["text-embeddings-inference"],
    responses=ERRORS.responses(401),
    summary="Describe the first model, as text-embeddings-inference does",
)
async def info(state: State) -> Info:
    """The first model that is served, and what a request may hold."""
    registry: Registry = state.registry
    settings: Settings = state.settings
    _, manifest = registry.served(None)
    return Info(
        model_id=manifest.source.repo,
        model_sha=manifest.source.revision,
        model_dtype=manifest.precision,
        served_model_name=manifest.name,
        model_type=_model_type(manifest.output),
        # Neither is limited but by the tokens that may wait; a request has one at least.
        max_concurrent_requests=settings.queue_tokens,
        max_batch_tokens=settings.queue_tokens,
        max_input_length=manifest.max_tokens or settings.queue_tokens,
        max_client_batch_size=settings.max_inputs,
        auto_truncate=settings.truncate,
        tokenization_workers=TOKENIZERS,
        version=__version__,
    )


def _model_type(output: Output) -> ModelType:
    if isinstance(output, Dense):
        return ModelType(embedding=Pooling("+".join(POOLING.get(mode, mode) for mode in output.pooling)))
    labels = Labels(
        {str(place): label for place, label in enumerate(output.labels)},
        {label: place for place, label in enumerate(output.labels)},
    )
    return ModelType(reranker=labels) if "rerank" in tasks.of(output) else ModelType(classifier=labels)


@post(
    "/similarity",
    status_code=200,
    tags=["text-embeddings-inference"],
    responses=ERRORS.responses(401, 404, 413, 415, 503),
    summary="Compare a text with others, as text-embeddings-inference does",
)
async def similarity(
    data: Annotated[SimilarityRequest, SIMILARITY_BODY], request: ApiRequest
) -> Response[list[float]]:
    """The cosines of a text to each of some others."""
    if not data.inputs.sentences:
        raise InvalidRequest("inputs.sentences is an empty list; send at least one text", param="inputs")
    texts = [data.inputs.source_sentence, *data.inputs.sentences]
    _, embedded = await work.run(
        request,
        Ask(
            model=data.model,
            input=texts,
            options=msgspec.structs.replace(data, normalize=True),
            field=INPUTS,
            empty_inputs="embed",
        ),
    )
    cosines = embedded.vectors[1:] @ embedded.vectors[0]
    return ApiResponse(cosines.tolist(), headers=_headers(request, embedded))


embed_at_root = post("/", status_code=200, include_in_schema=False)(embed.fn)


@route("/", http_method=HttpMethod.OPTIONS, include_in_schema=False)
async def root_methods() -> Response[None]:
    """The methods of a path that is also the page's; registered first, or Litestar names POST alone."""
    return Response(None, status_code=204, headers={"allow": "GET, HEAD, OPTIONS, POST"})


DIALECT = Dialect(handlers=(embed, similarity, root_methods, embed_at_root, info), errors=ERRORS)
