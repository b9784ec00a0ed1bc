"""Its route for the vectors of all tokens."""

from typing import Annotated

import msgspec
from litestar import Response, post
from litestar.enums import RequestEncodingType
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body

from embed_onnx.http import vectors, work
from embed_onnx.http.body import inputs
from embed_onnx.http.body.options import ModelName, TokenOptions
from embed_onnx.http.request import ApiRequest
from embed_onnx.http.response import ApiResponse
from embed_onnx.http.tei import headers
from embed_onnx.http.tei.embed import INPUTS, Nested
from embed_onnx.http.tei.errors import ERRORS
from embed_onnx.http.work import Ask

ALL_BODY = Body(media_type=RequestEncodingType.JSON, examples=[Example(value={"inputs": ["Hello", "world"]})])


class AllRequest(TokenOptions, frozen=True, kw_only=True):
    """POST /embed_all."""

    inputs: Annotated[msgspec.Raw, inputs.described(documents=True, empty_texts=True)]
    model: ModelName = None
    parameters: Nested = None


@post(
    "/embed_all",
    status_code=200,
    tags=["text-embeddings-inference"],
    responses={
        200: ResponseSpec(
            list[list[list[float]]], description="The vectors of each input.", generate_examples=False
        ),
        **ERRORS.responses(401, 404, 413, 415, 503),
    },
    summary="Make a vector of each token of texts, as text-embeddings-inference does",
)
async def embed_all(
    data: Annotated[AllRequest, ALL_BODY], request: ApiRequest
) -> Response[list[msgspec.Raw]]:
    """The token vectors of each input, by the first model that makes them or the one that is named."""
    ask = Ask(
        task="embed_tokens",
        model=data.model,
        input=data.inputs,
        options=data,
        field=INPUTS,
        empty_inputs="embed",
    )
    _, embedded = await work.run_by_token(request, ask)
    return ApiResponse(await vectors.encode_by_token(embedded.vectors), headers=headers.of(request, embedded))
