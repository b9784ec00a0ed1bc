"""Its route for sparse vectors."""

from typing import Annotated

import msgspec
from litestar import Response, post
from litestar.enums import RequestEncodingType
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body
from msgspec import Meta

from embed_onnx.engine.outputs.sparse import SparseVector
from embed_onnx.http import vectors, work
from embed_onnx.http.body import inputs
from embed_onnx.http.body.options import ModelName, SparseOptions
from embed_onnx.http.request import ApiRequest
from embed_onnx.http.response import ApiResponse
from embed_onnx.http.tei import headers
from embed_onnx.http.tei.embed import INPUTS, Nested
from embed_onnx.http.tei.errors import ERRORS
from embed_onnx.http.work import Ask

SPARSE_BODY = Body(
    media_type=RequestEncodingType.JSON, examples=[Example(value={"inputs": ["Hello", "world"]})]
)


class TeiSparseRequest(SparseOptions, frozen=True, kw_only=True):
    """POST /embed_sparse."""

    inputs: Annotated[msgspec.Raw, inputs.described(empty_texts=True)]
    model: ModelName = None
    parameters: Nested = None


class Weight(msgspec.Struct, frozen=True):
    """An entry of the vocabulary, and its weight."""

    index: Annotated[int, Meta(description="Its place in the vocabulary.")]
    value: Annotated[float, Meta(description="Its weight, above zero.")]


@post(
    "/embed_sparse",
    status_code=200,
    tags=["text-embeddings-inference"],
    responses={
        200: ResponseSpec(
            list[list[Weight]], description="The weights of each input.", generate_examples=False
        ),
        **ERRORS.responses(401, 404, 413, 415, 503),
    },
    summary="Make sparse vectors of texts, as text-embeddings-inference does",
)
async def embed_sparse(
    data: Annotated[TeiSparseRequest, SPARSE_BODY], request: ApiRequest
) -> Response[list[msgspec.Raw]]:
    """The weights that the first sparse model, or the one that is named, gives for each input."""
    ask = Ask(
        task="embed_sparse",
        model=data.model,
        input=data.inputs,
        options=data,
        field=INPUTS,
        empty_inputs="embed",
    )
    _, embedded = await work.run_sparse(request, ask, max_active_dims=None)
    weights = await vectors.encode_values(map(_weights, embedded.vectors))
    return ApiResponse(weights, headers=headers.of(request, embedded))


def _weights(vector: SparseVector) -> list[Weight]:
    pairs = zip(vector.indices.tolist(), vector.weights.tolist(), strict=True)
    return [Weight(index, value) for index, value in pairs]
