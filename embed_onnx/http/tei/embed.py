"""Its routes that embed.

It serves one model; here that is the first that embeds, unless a request names another.
"""

import re
from typing import Annotated

import msgspec
from litestar import Response, post, route
from litestar.enums import HttpMethod, RequestEncodingType
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body
from msgspec import Meta

from embed_onnx.errors import InvalidRequest
from embed_onnx.http import vectors, work
from embed_onnx.http.body import inputs
from embed_onnx.http.body.inputs import Field
from embed_onnx.http.body.options import EmbeddingOptions, ModelName
from embed_onnx.http.request import ApiRequest
from embed_onnx.http.response import ApiResponse
from embed_onnx.http.tei import headers
from embed_onnx.http.tei.errors import ERRORS
from embed_onnx.http.work import Ask

SENTENCES = re.compile(rb'\{\s*"(?:source_sentence|sentences)"')
"""How the inputs of its /similarity begin."""
INPUTS = Field("inputs")
EMBED_BODY = Body(
    media_type=RequestEncodingType.JSON, examples=[Example(value={"inputs": ["Hello", "world"]})]
)

SIMILARITY_BODY = Body(
    media_type=RequestEncodingType.JSON,
    examples=[Example(value={"inputs": {"source_sentence": "Hello", "sentences": ["world"]}})],
)


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

    inputs: Annotated[msgspec.Raw, inputs.described(empty_texts=True)]
    model: ModelName = None
    parameters: Nested = None


class SimilarityInputs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text, and those that it is compared with."""

    source_sentence: Annotated[str, Meta(description="The text.")]
    sentences: Annotated[list[str], Meta(description="Those that it is compared with.")]


class SimilarityRequest(EmbeddingOptions, frozen=True, kw_only=True):
    """POST /similarity."""

    inputs: SimilarityInputs
    model: ModelName = None
    parameters: Nested = None


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
    return ApiResponse(await vectors.encode_all(embedded.vectors), headers=headers.of(request, embedded))


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
    return ApiResponse(cosines.tolist(), headers=headers.of(request, embedded))


embed_at_root = post("/", status_code=200, include_in_schema=False)(embed.fn)


@route("/", http_method=HttpMethod.OPTIONS, include_in_schema=False)
async def root_methods() -> Response[None]:
    """The methods of a path that is also the page's; registered first, or Litestar names POST alone."""
    return Response(None, status_code=204, headers={"allow": "GET, HEAD, OPTIONS, POST"})
