"""Sparse vectors in OpenAI's manner, on a route of this server's own: no API of theirs has any."""

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
from embed_onnx.http.body.options import ModelName, SparseOptions, User
from embed_onnx.http.errors import OPENAI
from embed_onnx.http.request import ApiRequest
from embed_onnx.http.work import Ask
from embed_onnx.models.model import Model
from embed_onnx.models.sparse import SparseEmbedded
from embed_onnx.settings import Settings

SPARSE_BODY = Body(
    media_type=RequestEncodingType.JSON,
    examples=[Example(value={"input": ["Hello", "world"], "prompt_name": "document"})],
)

INTEGERS = {"type": "array", "items": {"type": "integer", "minimum": 0}}
NUMBERS = {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}}


class SparseRequest(SparseOptions, frozen=True, kw_only=True):
    """POST /v1/sparse_embeddings."""

    input: Annotated[msgspec.Raw, inputs.described()]
    model: ModelName = None
    max_active_dims: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="So many of a text's greatest weights; left out: all."),
    ] = None
    return_terms: Annotated[
        bool | None, Meta(description="`true`: each vector has the vocabulary's entries of its indices.")
    ] = None
    user: User = None


class SparseEmbedding(msgspec.Struct, frozen=True, kw_only=True):
    """One input's vector, in the form in which Qdrant takes it: the weights of some entries."""

    object: Annotated[Literal["sparse_embedding"], Meta(description="Always `sparse_embedding`.")] = (
        "sparse_embedding"
    )
    index: answers.Place
    indices: Annotated[
        msgspec.Raw,
        Meta(description="Entries of the vocabulary, ascending.", extra_json_schema={"extra": INTEGERS}),
    ]
    values: Annotated[
        msgspec.Raw,
        Meta(
            description="Their weights, all above zero, at the same places.",
            extra_json_schema={"extra": NUMBERS},
        ),
    ]
    terms: Annotated[
        list[str] | UnsetType, Meta(description="The entries' texts, with `return_terms`; else left out.")
    ] = UNSET
    num_tokens: answers.NumTokens
    truncated: answers.Truncated = UNSET


class SparseResponse(msgspec.Struct, frozen=True, kw_only=True):
    """``data`` keeps the order of ``input``."""

    object: answers.ListObject = "list"
    data: Annotated[list[SparseEmbedding], Meta(description="The vectors, in the order of `input`.")]
    model: answers.NameOfModel
    entries: Annotated[int, Meta(description="How many entries the vocabulary has.")]
    usage: answers.RequestUsage
    id: answers.AnswerId
    created: answers.Created


@post(
    "/v1/sparse_embeddings",
    status_code=200,
    tags=["embeddings"],
    responses=OPENAI.responses(401, 404, 413, 415, 503),
    summary="Make sparse vectors of texts",
)
async def create_sparse_embeddings(
    data: Annotated[SparseRequest, SPARSE_BODY], request: ApiRequest
) -> SparseResponse:
    """The weights that a sparse model, such as SPLADE, gives to entries of its vocabulary for each input."""
    settings: Settings = request.app.state.settings
    ask = Ask(
        task="embed_sparse",
        model=data.model,
        input=data.input,
        options=data,
        empty_inputs=settings.empty_texts,
    )
    model, embedded = await work.run_sparse(request, ask, max_active_dims=data.max_active_dims)
    return SparseResponse(
        data=await _items(model, embedded, terms=bool(data.return_terms)),
        model=model.manifest.name,
        entries=model.manifest.sparse.entries,
        usage=answers.Usage.of(embedded.num_tokens),
        id=str(uuid.uuid4()),
        created=int(time.time()),
    )


async def _items(model: Model, embedded: SparseEmbedded, *, terms: bool) -> list[SparseEmbedding]:
    indices = await vectors.encode_values(vector.indices.tolist() for vector in embedded.vectors)
    values = await vectors.encode_values(vector.weights.tolist() for vector in embedded.vectors)
    words = await model.terms_async(embedded.vectors) if terms else [UNSET] * len(embedded.vectors)
    return [
        SparseEmbedding(
            index=index,
            indices=indices[index],
            values=values[index],
            terms=words[index],
            num_tokens=tokens.num_tokens,
            truncated=tokens.truncated or UNSET,
        )
        for index, tokens in enumerate(embedded.tokens)
    ]
