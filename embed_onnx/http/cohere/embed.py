"""Its vectors, of both versions: each of the types that a client requests, in one answer."""

import re
import uuid
from typing import Annotated, Literal

import msgspec
from litestar import post
from litestar.enums import RequestEncodingType
from litestar.openapi.spec import Example
from litestar.params import Body
from msgspec import UNSET, UnsetType

from embed_onnx.errors import InvalidRequest
from embed_onnx.http import answers, vectors, work
from embed_onnx.http.body import documents, inputs, reading
from embed_onnx.http.body.documents import TEXT_OR_TEXTS
from embed_onnx.http.body.inputs import Field
from embed_onnx.http.body.options import EmbeddingOptions, ModelName
from embed_onnx.http.cohere.answers import ERRORS, ApiVersion
from embed_onnx.http.request import ApiRequest
from embed_onnx.http.vectors import WireType
from embed_onnx.http.work import Ask
from embed_onnx.models.dense import Embedded
from embed_onnx.settings import Settings

TEXTS, INPUTS = Field("texts"), Field("inputs")
EMBED_BODY = Body(
    media_type=RequestEncodingType.JSON,
    examples=[Example(value={"texts": ["Hello", "world"], "input_type": "search_document"})],
)
INPUTS_SCHEMA = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["content"],
        "properties": {
            "content": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1,
                "items": {
                    "type": "object",
                    "required": ["type", "text"],
                    "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
                },
            }
        },
    },
}

FLOATS, INTEGERS, STRINGS = (
    {"extra": {"type": "array", "items": items}}
    for items in (
        {"type": "array", "items": {"type": "number"}},
        {"type": "array", "items": {"type": "integer"}},
        {"type": "string", "contentEncoding": "base64"},
    )
)
Vectors = list[msgspec.Raw]
EmbeddingType = Literal["float", "int8", "uint8", "binary", "ubinary", "base64"]
WIRE_TYPES: dict[EmbeddingType, WireType] = {
    "float": vectors.FLOATS,
    "int8": WireType("int8"),
    "uint8": WireType("uint8"),
    "binary": WireType("binary"),
    "ubinary": WireType("ubinary"),
    "base64": WireType(base64=True),
}
FIELDS = {"float": "float_"}
"""Of ``EmbeddingsByType``, where it has another name than the type."""


class EmbedOptions(EmbeddingOptions, frozen=True, kw_only=True):
    """The fields of both versions besides the texts."""

    model: ModelName = None
    embedding_types: Annotated[
        list[EmbeddingType] | None,
        msgspec.Meta(description="The answer has each of these; `base64` is of float32, little-endian."),
    ] = None
    output_dimension: Annotated[
        Annotated[int, msgspec.Meta(ge=1)] | None,
        msgspec.Meta(description="Cohere's name of `dimensions`."),
    ] = None

    def options(self) -> EmbeddingOptions:
        """With Cohere's name of the dimensions in place of ours.

        Raises:
            InvalidRequest: Both are there and differ.
        """
        own, other = self.dimensions, self.output_dimension
        if None not in (own, other) and own != other:
            raise InvalidRequest(
                "dimensions and output_dimension are both there and differ; send one of them",
                param="output_dimension",
            )
        return msgspec.structs.replace(self, dimensions=other if own is None else own)


class EmbedRequest(EmbedOptions, frozen=True, kw_only=True):
    """POST /v1/embed."""

    texts: Annotated[
        msgspec.Raw,
        msgspec.Meta(description="A text or a list of texts.", extra_json_schema={"extra": TEXT_OR_TEXTS}),
    ]


class EmbedV2Request(EmbedOptions, frozen=True, kw_only=True):
    """POST /v2/embed. One of ``texts`` and ``inputs`` has the texts, and ``input_type`` is required."""

    texts: Annotated[
        msgspec.Raw | UnsetType,
        msgspec.Meta(description="A text or a list of texts.", extra_json_schema={"extra": TEXT_OR_TEXTS}),
    ] = UNSET
    inputs: Annotated[
        msgspec.Raw | UnsetType,
        msgspec.Meta(
            description="The texts, each as a `content` of one part.",
            extra_json_schema={"extra": INPUTS_SCHEMA},
        ),
    ] = UNSET


class Part(msgspec.Struct, frozen=True):
    """A part of an input; an image has no text."""

    type: str
    text: str | None = None


class Input(msgspec.Struct, frozen=True):
    """An input of the second version."""

    content: list[Part]


INPUT_DECODER = msgspec.json.Decoder(list[Input])
OBJECT_KEY = re.compile(rb'"(?:content|type)"\s*:')
"""Each input and each part has one: they are counted before a large body becomes objects."""


Texts = Annotated[list[str], msgspec.Meta(description="The texts, as they were sent.")]


class EmbedUnits(msgspec.Struct, frozen=True):
    """What Cohere would bill."""

    input_tokens: Annotated[int, msgspec.Meta(description="Of all texts, special tokens included.")]


class EmbedMeta(msgspec.Struct, frozen=True, kw_only=True):
    """What Cohere's clients read of a request."""

    api_version: ApiVersion
    billed_units: EmbedUnits
    warnings: Annotated[
        list[str] | UnsetType, msgspec.Meta(description="How many texts were cut, if any; else left out.")
    ] = UNSET


class EmbeddingsByType(msgspec.Struct, frozen=True, kw_only=True):
    """Lists of vectors by their type, in the order of the texts; those of other types are left out."""

    float_: Annotated[Vectors | UnsetType, msgspec.Meta(description="float32.", extra_json_schema=FLOATS)] = (
        msgspec.field(name="float", default=UNSET)
    )
    int8: Annotated[
        Vectors | UnsetType,
        msgspec.Meta(description="In the ranges of the model's artifact.", extra_json_schema=INTEGERS),
    ] = UNSET
    uint8: Annotated[
        Vectors | UnsetType, msgspec.Meta(description="int8 plus 128.", extra_json_schema=INTEGERS)
    ] = UNSET
    binary: Annotated[
        Vectors | UnsetType, msgspec.Meta(description="ubinary minus 128.", extra_json_schema=INTEGERS)
    ] = UNSET
    ubinary: Annotated[
        Vectors | UnsetType,
        msgspec.Meta(description="Eight dimensions in a number.", extra_json_schema=INTEGERS),
    ] = UNSET
    base64: Annotated[
        Vectors | UnsetType,
        msgspec.Meta(description="float32, little-endian.", extra_json_schema=STRINGS),
    ] = UNSET


class EmbedFloats(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of the first version to a request without ``embedding_types``."""

    response_type: Annotated[
        Literal["embeddings_floats"], msgspec.Meta(description="Always `embeddings_floats`.")
    ] = "embeddings_floats"
    id: answers.AnswerId
    embeddings: Annotated[
        Vectors, msgspec.Meta(description="A vector for each text.", extra_json_schema=FLOATS)
    ]
    texts: Texts
    meta: EmbedMeta


class EmbedByType(msgspec.Struct, frozen=True, kw_only=True):
    """Vectors of every type that was requested."""

    response_type: Annotated[
        Literal["embeddings_by_type"], msgspec.Meta(description="Always `embeddings_by_type`.")
    ] = "embeddings_by_type"
    id: answers.AnswerId
    embeddings: EmbeddingsByType
    texts: Texts
    meta: EmbedMeta


@post(
    "/v1/embed",
    status_code=200,
    tags=["embeddings"],
    responses=ERRORS.responses(401, 404, 413, 415, 503),
    opt={"errors": ERRORS},
    summary="Embed texts, as Cohere's first version does",
)
async def embed(data: Annotated[EmbedRequest, EMBED_BODY], request: ApiRequest) -> EmbedFloats | EmbedByType:
    """A list of vectors or, with `embedding_types`, one of each type."""
    texts = documents.text_or_texts(data.texts, request.app.state.settings, TEXTS)
    embedded = await _run(request, data, texts, TEXTS)
    number, meta = str(uuid.uuid4()), _meta(embedded, version="1")
    if not data.embedding_types:
        floats = await vectors.encode_all(embedded.vectors)
        return EmbedFloats(id=number, embeddings=floats, texts=texts, meta=meta)
    by_type = await _by_type(embedded, data.embedding_types)
    return EmbedByType(id=number, embeddings=by_type, texts=texts, meta=meta)


@post(
    "/v2/embed",
    status_code=200,
    tags=["embeddings"],
    responses=ERRORS.responses(401, 404, 413, 415, 503),
    opt={"errors": ERRORS},
    summary="Embed texts, as Cohere's second version does",
)
async def embed_v2(data: Annotated[EmbedV2Request, EMBED_BODY], request: ApiRequest) -> EmbedByType:
    """Vectors of each of the `embedding_types`, which are `float` where they are left out."""
    settings: Settings = request.app.state.settings
    if data.input_type is None and data.prompt is None and data.prompt_name is None:
        raise InvalidRequest(
            "input_type is missing; send search_document, search_query, classification or clustering",
            param="input_type",
        )
    if data.texts is not UNSET and data.inputs is UNSET:
        texts, field = documents.text_or_texts(data.texts, settings, TEXTS), TEXTS
    elif data.inputs is not UNSET and data.texts is UNSET:
        texts, field = _texts_of_inputs(data.inputs, settings), INPUTS
    else:
        raise InvalidRequest("there must be one of texts and inputs; send texts", param="texts")
    embedded = await _run(request, data, texts, field)
    by_type = await _by_type(embedded, data.embedding_types or ["float"])
    return EmbedByType(
        id=str(uuid.uuid4()), embeddings=by_type, texts=texts, meta=_meta(embedded, version="2")
    )


async def _run(request: ApiRequest, data: EmbedOptions, texts: list[str], field: Field) -> Embedded:
    ask = Ask(
        model=data.model,
        input=texts,
        options=data.options(),
        field=field,
        ranged=any(WIRE_TYPES[name].ranged for name in data.embedding_types or ()),
    )
    _, embedded = await work.run(request, ask)
    return embedded


def _texts_of_inputs(value: msgspec.Raw, settings: Settings) -> list[str]:
    """The texts of inputs, each of which has one part.

    Raises:
        InvalidRequest: There are none or too many, or one has several parts, or something else than a text.
    """
    if (
        len(value) > inputs.LARGE_BYTES
        and (objects := len(OBJECT_KEY.findall(value))) > 2 * settings.max_inputs
    ):
        raise inputs.too_many(f"at least {objects // 2}", settings.max_inputs, INPUTS)
    texts = []
    items: list[Input] = reading.decode(value, INPUT_DECODER, field=INPUTS.name)
    for index, item in enumerate(items):
        name = f"{INPUTS.item(index)}.content"
        if len(item.content) != 1:
            raise InvalidRequest(
                f"{name} has {len(item.content)} parts; send one text in each input", param=INPUTS.name
            )
        part = item.content[0]
        if part.type != "text" or part.text is None:
            raise InvalidRequest(
                f"{name} is of type {part.type[:40]!r}, and only texts are read here; send a text",
                param=INPUTS.name,
            )
        texts.append(part.text)
    if not texts:
        raise InvalidRequest("inputs is an empty list; send at least one text", param=INPUTS.name)
    return texts


async def _by_type(embedded: Embedded, types: list[EmbeddingType]) -> EmbeddingsByType:
    encoded: dict[str, Vectors] = {
        FIELDS.get(name, name): await vectors.encode_all(embedded.vectors, WIRE_TYPES[name], embedded.ranges)
        for name in dict.fromkeys(types)
    }
    return EmbeddingsByType(**encoded)


def _meta(embedded: Embedded, *, version: str) -> EmbedMeta:
    cut = sum(item.truncated for item in embedded.tokens)
    return EmbedMeta(
        api_version=ApiVersion(version),
        billed_units=EmbedUnits(input_tokens=embedded.num_tokens),
        warnings=[f"texts that were cut at the limit of tokens: {cut} of {len(embedded.tokens)}"]
        if cut
        else UNSET,
    )
