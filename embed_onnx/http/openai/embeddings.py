"""OpenAI's /v1/embeddings, with a few fields of our own.

Requests tolerate fields that we do not know, as clients send extras; ``body`` decides which fields of other
APIs are translated or refused because they would change a vector.
"""

import time
import uuid
from typing import Annotated, Literal

import msgspec
from litestar import post
from litestar.enums import RequestEncodingType
from litestar.openapi.spec import Example
from litestar.params import Body
from msgspec import UNSET, Meta, UnsetType

from embed_onnx.errors import InvalidRequest
from embed_onnx.http import answers, vectors, work
from embed_onnx.http.body import inputs
from embed_onnx.http.body.options import EmbeddingOptions, ModelName
from embed_onnx.http.errors import OPENAI
from embed_onnx.http.openai import clients
from embed_onnx.http.request import ApiRequest
from embed_onnx.http.vectors import EncodingFormat, Endianness, NumberType, WireType
from embed_onnx.http.work import Ask
from embed_onnx.models.dense import Embedded
from embed_onnx.models.windows import LongText
from embed_onnx.settings import Settings

OutputDType = Literal["float", NumberType]
VECTOR_SCHEMA = {
    "any_of": [
        {"type": "array", "items": {"type": "number"}},
        {"type": "string", "contentEncoding": "base64"},
    ]
}
EMBEDDING_BODY = Body(
    media_type=RequestEncodingType.JSON,
    examples=[Example(value={"input": ["Hello", "world"], "encoding_format": "float"})],
)


class EmbeddingRequest(EmbeddingOptions, frozen=True, kw_only=True):
    """POST /v1/embeddings."""

    input: Annotated[msgspec.Raw, inputs.described()]
    model: ModelName = None
    encoding_format: Annotated[
        EncodingFormat | None, Meta(description="`base64`: the bytes of the numbers, little-endian.")
    ] = None
    output_dtype: Annotated[
        OutputDType | None,
        Meta(
            description="The type of the numbers; default: `float`, which is float32. `int8` and `uint8` "
            "have the ranges of the model's artifact; `binary` and `ubinary` eight dimensions in a number."
        ),
    ] = None
    endianness: Annotated[
        Endianness | None, Meta(description="The order of bytes in base64; default: `little`.")
    ] = None
    user: Annotated[
        str | float | bool | None, Meta(description="Accepted and ignored; OpenAI's is a string.")
    ] = None


class Embedding(msgspec.Struct, frozen=True, kw_only=True):
    """One input's vector: a list of numbers, or a base64 string."""

    object: Annotated[Literal["embedding"], Meta(description="Always `embedding`.")] = "embedding"
    index: answers.Place
    embedding: Annotated[
        msgspec.Raw,
        Meta(
            description="A list of numbers, or a base64 string.", extra_json_schema={"extra": VECTOR_SCHEMA}
        ),
    ]
    num_tokens: answers.NumTokens
    truncated: answers.Truncated = UNSET
    windows: Annotated[
        int | UnsetType,
        Meta(description="Of how many windows the vector is the mean, with `long_texts`; 1 is left out."),
    ] = UNSET


class EmbeddingResponse(msgspec.Struct, frozen=True, kw_only=True):
    """``data`` keeps the order of ``input``."""

    object: answers.ListObject = "list"
    data: Annotated[list[Embedding], Meta(description="The vectors, in the order of `input`.")]
    model: answers.NameOfModel
    usage: answers.RequestUsage
    id: answers.AnswerId
    created: answers.Created


@post(
    ["/v1/embeddings", "/embeddings"],
    status_code=200,
    tags=["embeddings"],
    responses=OPENAI.responses(401, 404, 413, 415, 503),
    summary="Embed texts",
)
async def create_embeddings(
    data: Annotated[EmbeddingRequest, EMBEDDING_BODY], request: ApiRequest
) -> EmbeddingResponse:
    """Embed one input or many. `data` keeps the order of `input`."""
    settings: Settings = request.app.state.settings
    wire_type = _wire_type(data, request)
    ask = Ask(
        model=data.model,
        input=data.input,
        options=data,
        empty_inputs=settings.empty_texts,
        ranged=wire_type.ranged,
    )
    manifest, embedded = await work.run(request, ask)
    return EmbeddingResponse(
        data=await _items(embedded, wire_type),
        model=manifest.name,
        usage=answers.Usage.of(embedded.num_tokens),
        id=str(uuid.uuid4()),
        created=int(time.time()),
    )


def _wire_type(data: EmbeddingRequest, request: ApiRequest) -> WireType:
    """How the vectors are to be sent.

    Raises:
        InvalidRequest: OpenAI's client would read them as float32, which they are not.
    """
    named = data.output_dtype
    numbers: NumberType = "float32" if named is None or named == "float" else named
    in_base64 = data.encoding_format == "base64"
    if in_base64 and numbers != "float32" and data.endianness is None and clients.is_openai(request):
        raise InvalidRequest(
            f"output_dtype is {numbers} and encoding_format is base64, which OpenAI's clients request by "
            "themselves and read as float32; name encoding_format float or, to read the bytes yourself, "
            "endianness",
            param="encoding_format",
        )
    return WireType(numbers, base64=in_base64, big_endian=data.endianness == "big")


async def _items(embedded: Embedded, wire_type: WireType) -> list[Embedding]:
    encoded = await vectors.encode_all(embedded.vectors, wire_type, embedded.ranges)
    return [
        Embedding(
            index=index,
            embedding=vector,
            num_tokens=tokens.num_tokens,
            truncated=tokens.truncated or UNSET,
            windows=len(tokens.windows) if isinstance(tokens, LongText) else UNSET,
        )
        for index, (vector, tokens) in enumerate(zip(encoded, embedded.tokens, strict=True))
    ]
