"""Token vectors in OpenAI's manner, on a route of this server's own: no API of theirs has any."""

import time
import uuid
from typing import Annotated, Literal

import msgspec
from litestar import post
from litestar.enums import RequestEncodingType
from litestar.openapi.spec import Example
from litestar.params import Body
from msgspec import UNSET, Meta, UnsetType

from embed_onnx.http import answers, vectors, work
from embed_onnx.http.body import inputs
from embed_onnx.http.body.options import ModelName, TokenOptions, User
from embed_onnx.http.errors import OPENAI
from embed_onnx.http.request import ApiRequest
from embed_onnx.http.vectors import EncodingFormat, WireType
from embed_onnx.http.work import Ask
from embed_onnx.models.token_vectors import TokensEmbedded
from embed_onnx.settings import Settings

Floats = Literal["float32", "float16"]
TOKENS_BODY = Body(
    media_type=RequestEncodingType.JSON,
    examples=[Example(value={"input": ["Hello", "world"], "prompt_name": "document"})],
)


class TokenRequest(TokenOptions, frozen=True, kw_only=True):
    """POST /v1/token_embeddings."""

    input: Annotated[msgspec.Raw, inputs.described(documents=True)]
    model: ModelName = None
    encoding_format: Annotated[
        EncodingFormat | None,
        Meta(description="`base64`: the bytes of all numbers of a text, vector after vector, little-endian."),
    ] = None
    output_dtype: Annotated[
        Literal["float"] | Floats | None,
        Meta(description="The type of the numbers; default: `float`, which is float32."),
    ] = None
    return_tokens: Annotated[
        bool | None, Meta(description="`true`: each item has the texts of the tokens of its vectors.")
    ] = None
    user: User = None


class TokenEmbeddings(msgspec.Struct, frozen=True, kw_only=True):
    """One input's vectors: of each token that the model does not skip, in their order."""

    object: Annotated[Literal["token_embeddings"], Meta(description="Always `token_embeddings`.")] = (
        "token_embeddings"
    )
    index: answers.Place
    embeddings: Annotated[
        msgspec.Raw,
        Meta(
            description="A list of vectors, each a list of numbers; or a base64 string.",
            extra_json_schema={"extra": vectors.MATRIX_SCHEMA},
        ),
    ]
    shape: Annotated[tuple[int, int], Meta(description="How many vectors, and how many numbers in each.")]
    dtype: Annotated[Floats, Meta(description="The type of the numbers.")]
    tokens: Annotated[
        list[str] | UnsetType,
        Meta(description="The vocabulary's entry of each vector, with `return_tokens`; else left out."),
    ] = UNSET
    expansion: Annotated[
        int | UnsetType,
        Meta(description="How many of the last `tokens` are a query's expansion, which is not in its text."),
    ] = UNSET
    num_tokens: answers.NumTokens
    truncated: answers.Truncated = UNSET


class TokenResponse(msgspec.Struct, frozen=True, kw_only=True):
    """``data`` keeps the order of ``input``."""

    object: answers.ListObject = "list"
    data: Annotated[list[TokenEmbeddings], Meta(description="The vectors, in the order of `input`.")]
    model: answers.NameOfModel
    usage: answers.RequestUsage
    id: answers.AnswerId
    created: answers.Created


@post(
    "/v1/token_embeddings",
    status_code=200,
    tags=["embeddings"],
    responses=OPENAI.responses(401, 404, 413, 415, 503),
    summary="Make a vector of each token of texts",
)
async def create_token_embeddings(
    data: Annotated[TokenRequest, TOKENS_BODY], request: ApiRequest
) -> TokenResponse:
    """The token vectors of each input, by a model such as ColBERT, for search by late interaction."""
    settings: Settings = request.app.state.settings
    numbers: Floats = "float16" if data.output_dtype == "float16" else "float32"
    ask = Ask(
        task="embed_tokens",
        model=data.model,
        input=data.input,
        options=data,
        empty_inputs=settings.empty_texts,
    )
    model, embedded = await work.run_by_token(request, ask)
    items = await _items(embedded, WireType(numbers, base64=data.encoding_format == "base64"), numbers)
    if data.return_tokens:
        texts = await model.token_texts(embedded)
        items = [
            msgspec.structs.replace(item, tokens=entries, expansion=expansion)
            for item, (entries, expansion) in zip(items, texts, strict=True)
        ]
    return TokenResponse(
        data=items,
        model=model.manifest.name,
        usage=answers.Usage.of(embedded.num_tokens),
        id=str(uuid.uuid4()),
        created=int(time.time()),
    )


async def _items(embedded: TokensEmbedded, wire_type: WireType, numbers: Floats) -> list[TokenEmbeddings]:
    encoded = await vectors.encode_by_token(embedded.vectors, wire_type)
    return [
        TokenEmbeddings(
            index=index,
            embeddings=encoded[index],
            shape=matrix.shape,
            dtype=numbers,
            num_tokens=tokens.num_tokens,
            truncated=tokens.truncated or UNSET,
        )
        for index, (matrix, tokens) in enumerate(zip(embedded.vectors, embedded.tokens, strict=True))
    ]
