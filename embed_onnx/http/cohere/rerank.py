"""Its ranks, of which Jina, vLLM, LiteLLM and others have the first version."""

from typing import Annotated

import msgspec
from litestar import post
from litestar.enums import RequestEncodingType
from litestar.openapi.spec import Example
from litestar.params import Body

from embed_onnx.http import ranking
from embed_onnx.http.cohere.answers import ERRORS, ApiVersion
from embed_onnx.http.errors import OPENAI
from embed_onnx.http.ranking import EXAMPLE, RerankRequest, RerankResponse
from embed_onnx.http.request import ApiRequest

RERANK_BODY = Body(media_type=RequestEncodingType.JSON, examples=[Example(value=EXAMPLE)])


class BilledUnits(msgspec.Struct, frozen=True):
    """What Cohere would bill: a search is a query."""

    search_units: Annotated[int, msgspec.Meta(description="Always 1: a query.")] = 1


class Meta(msgspec.Struct, frozen=True):
    """What Cohere's clients read of a request."""

    api_version: ApiVersion = ApiVersion()
    billed_units: BilledUnits = BilledUnits()


class CohereResponse(RerankResponse, frozen=True, kw_only=True):
    """POST /v2/rerank."""

    meta: Meta = Meta()


@post(
    "/v1/rerank",
    status_code=200,
    tags=["rerank"],
    responses=OPENAI.responses(401, 404, 413, 415, 503),
    summary="Rank documents for a query",
)
async def rerank(data: Annotated[RerankRequest, RERANK_BODY], request: ApiRequest) -> RerankResponse:
    """The documents by how well they answer the query.

    Scores are 0 to 1, or of a model of token vectors sums of maxima, and none depends on another document.
    """
    return await ranking.answer(request, data, data.query, data.documents)


@post(
    "/v2/rerank",
    status_code=200,
    tags=["rerank"],
    responses=ERRORS.responses(401, 404, 413, 415, 503),
    opt={"errors": ERRORS},
    summary="Rank documents for a query, as Cohere's second version does",
)
async def rerank_v2(data: Annotated[RerankRequest, RERANK_BODY], request: ApiRequest) -> CohereResponse:
    """The same, with what Cohere's clients read besides."""
    answer = await ranking.answer(request, data, data.query, data.documents)
    return CohereResponse(**msgspec.structs.asdict(answer))
