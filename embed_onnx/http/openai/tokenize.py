"""/tokenize: the tokens of texts, in an answer of our own or in that of text-embeddings-inference."""

from typing import Annotated

import msgspec
from litestar import post
from litestar.enums import RequestEncodingType
from litestar.openapi.spec import Example
from litestar.params import Body
from msgspec import UNSET, Meta, UnsetType

from embed_onnx.errors import InvalidRequest
from embed_onnx.http import answers, work
from embed_onnx.http.body import inputs
from embed_onnx.http.body.foreign import NULL
from embed_onnx.http.body.inputs import Field, Inputs
from embed_onnx.http.body.options import TextOptions
from embed_onnx.http.errors import OPENAI
from embed_onnx.http.record import current_record
from embed_onnx.http.request import ApiRequest
from embed_onnx.http.work import Ask
from embed_onnx.models.model import Model
from embed_onnx.models.options import Options
from embed_onnx.models.tokenizer import Piece

TEXTS_SCHEMA = {
    "any_of": [
        {"type": "string"},
        {"type": "array", "minItems": 1, "items": {"type": "string"}},
        {"type": "null"},
    ]
}
INPUT, INPUTS = Field("input"), Field("inputs")
TOKENIZE_BODY = Body(media_type=RequestEncodingType.JSON, examples=[Example(value={"input": "Hello, world"})])


class TokenizeRequest(TextOptions, frozen=True, kw_only=True):
    """POST /tokenize."""

    input: Annotated[
        msgspec.Raw | UnsetType,
        Meta(
            description="A text, a list of texts, or token ids.", extra_json_schema={"extra": inputs.schema()}
        ),
    ] = UNSET
    inputs: Annotated[
        msgspec.Raw | UnsetType,
        Meta(
            description="In place of `input`, a text or a list of texts: the answer is that of "
            "text-embeddings-inference, a list of tokens for each text, which is not cut.",
            extra_json_schema={"extra": TEXTS_SCHEMA},
        ),
    ] = UNSET
    model: Annotated[str | None, Meta(description="Left out: the first model that is served.")] = None


class Tokenized(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens the model would see, special tokens included, cut at its limit."""

    index: answers.Place
    tokens: Annotated[list[str], Meta(description="The vocabulary's entries.")]
    ids: Annotated[list[int], Meta(description="Their ids, as `input` of other routes takes them.")]
    num_tokens: Annotated[int, Meta(description="How many there are, special tokens included.")]
    truncated: answers.Truncated = UNSET


class TokenizeResponse(msgspec.Struct, frozen=True, kw_only=True):
    """``data`` keeps the order of ``input``."""

    model: answers.NameOfModel
    data: Annotated[list[Tokenized], Meta(description="The tokens of each text, in the order of `input`.")]


@post(
    "/tokenize",
    status_code=200,
    tags=["embeddings"],
    responses=OPENAI.responses(401, 404, 413, 415, 503),
    summary="Tokenize texts",
)
async def tokenize(
    data: Annotated[TokenizeRequest, TOKENIZE_BODY], request: ApiRequest
) -> TokenizeResponse | list[list[Piece]]:
    """Show what a model sees of each text: its tokens, special tokens included, cut at its limit.

    With `inputs` in place of `input`, all its tokens, and where in the text's bytes they come from, as
    text-embeddings-inference does.
    """
    field, value = _field(data)
    ask = Ask(
        task=None,
        model=data.model,
        input=value,
        options=data if data.truncate is not None else msgspec.structs.replace(data, truncate=True),
        field=field,
        empty_inputs="refuse" if field is INPUT else "embed",
    )
    if field is INPUT:
        answer = await work.perform(request, ask, _tokens)
        current_record(request.scope).tokens = sum(item.num_tokens for item in answer.data)
        return answer
    return await work.perform(request, ask, _pieces)


def _field(data: TokenizeRequest) -> tuple[Field, msgspec.Raw]:
    """The one of two fields that has the inputs, and its value."""
    fields = [
        (field, value)
        for field, value in ((INPUT, data.input), (INPUTS, data.inputs))
        if not isinstance(value, UnsetType) and value != NULL
    ]
    if not fields:
        raise InvalidRequest(
            "The request is not valid: missing required field `input`, or `inputs` for the answer of "
            "text-embeddings-inference",
            param="input",
        )
    if len(fields) > 1:
        raise InvalidRequest("input and inputs are both there; send one of them", param="inputs")
    return fields[0]


async def _tokens(model: Model, texts_or_ids: Inputs, options: Options) -> TokenizeResponse:
    items = await model.show_tokens(texts_or_ids, options)
    return TokenizeResponse(
        model=model.manifest.name,
        data=[
            Tokenized(
                index=index,
                tokens=words,
                ids=item.ids,
                num_tokens=item.num_tokens,
                truncated=item.truncated or UNSET,
            )
            for index, (item, words) in enumerate(items)
        ],
    )


async def _pieces(model: Model, texts_or_ids: Inputs, options: Options) -> list[list[Piece]]:
    texts = [item for item in texts_or_ids if isinstance(item, str)]
    if len(texts) < len(texts_or_ids):
        raise InvalidRequest("inputs is token ids; send texts", param="inputs")
    return await model.show_pieces(texts, options)
