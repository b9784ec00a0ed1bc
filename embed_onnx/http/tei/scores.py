"""Its routes that score: ranks, whose path Jina's clients use as well, and classes."""

import dataclasses
from typing import Annotated, Any

import msgspec
from litestar import Response, post
from litestar.enums import RequestEncodingType
from litestar.openapi.spec import Example
from litestar.params import Body
from msgspec import UNSET, Meta, UnsetType

from embed_onnx.errors import InvalidRequest
from embed_onnx.http import ranking, work
from embed_onnx.http.answers import ErrorResponse
from embed_onnx.http.body import documents
from embed_onnx.http.body.documents import DOCUMENTS_SCHEMA
from embed_onnx.http.body.inputs import Field
from embed_onnx.http.body.options import ModelName, RawScores, ScoringOptions
from embed_onnx.http.errors import OPENAI
from embed_onnx.http.ranking import RankOptions, RerankResponse
from embed_onnx.http.request import ApiRequest
from embed_onnx.http.response import ApiResponse
from embed_onnx.http.tei import headers
from embed_onnx.http.tei.errors import ERRORS, TeiError
from embed_onnx.http.work import ScoreAsk
from embed_onnx.models import scoring
from embed_onnx.models.scoring import Prediction
from embed_onnx.settings import Settings

TEXTS, INPUTS = Field("texts"), Field("inputs")
RERANK_BODY = Body(
    media_type=RequestEncodingType.JSON,
    examples=[
        Example(value={"query": "how tall is the tower", "texts": ["It is 300 m tall.", "On Sundays."]})
    ],
)
PREDICT_BODY = Body(
    media_type=RequestEncodingType.JSON, examples=[Example(value={"inputs": "What a splendid day"})]
)
SEQUENCES_SCHEMA = {
    "any_of": [
        {"type": "string", "minLength": 1},
        {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string", "minLength": 1}},
        {
            "type": "array",
            "minItems": 1,
            "items": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string"}},
        },
    ]
}


BODY: Any = ErrorResponse | TeiError
EITHER = {
    **ERRORS.responses(),
    **OPENAI.responses(401, 413, 415),
    **{
        status: dataclasses.replace(OPENAI.response(status), data_container=BODY)
        for status in (404, 429, 503)
    },
}
"""What /rerank may answer besides: once its body was read, failures are in the shape of its form."""


class TeiRerankRequest(RankOptions, frozen=True, kw_only=True):
    """POST /rerank: ``texts`` for text-embeddings-inference's answer, ``documents`` for Jina's."""

    query: Annotated[str, Meta(description="What the texts are ranked for.")]
    texts: Annotated[
        msgspec.Raw | UnsetType,
        Meta(
            description="A list of texts; the answer is that of text-embeddings-inference.",
            extra_json_schema={"extra": DOCUMENTS_SCHEMA},
        ),
    ] = UNSET
    documents: Annotated[
        msgspec.Raw | UnsetType,
        Meta(
            description="In place of `texts`; the answer is that of `POST /v1/rerank`.",
            extra_json_schema={"extra": DOCUMENTS_SCHEMA},
        ),
    ] = UNSET
    return_text: Annotated[bool | None, Meta(description="Each result has its text.")] = None


class TeiRank(msgspec.Struct, frozen=True, kw_only=True):
    """One text, by its place in the request; ``truncated``: it or the query was cut."""

    index: Annotated[int, Meta(description="The place of the text in the request.")]
    score: Annotated[
        float, Meta(description="How well it answers the query, from 0 to 1; with `raw_scores`, the logit.")
    ]
    text: Annotated[str | UnsetType, Meta(description="The text, with `return_text`; else left out.")] = UNSET
    truncated: Annotated[
        bool | UnsetType, Meta(description="`true` if it or the query was cut; else left out.")
    ] = UNSET


class PredictRequest(ScoringOptions, frozen=True, kw_only=True):
    """POST /predict."""

    inputs: Annotated[
        msgspec.Raw,
        Meta(
            description="A text, or a list of one or two: a text or a pair; or a list of such lists.",
            extra_json_schema={"extra": SEQUENCES_SCHEMA},
        ),
    ]
    model: ModelName = None
    raw_scores: RawScores = None


@post(
    "/rerank",
    status_code=200,
    tags=["rerank"],
    responses=EITHER,
    opt={"errors": OPENAI},
    summary="Rank texts for a query, as text-embeddings-inference does, or documents as Jina does",
)
async def rerank(
    data: Annotated[TeiRerankRequest, RERANK_BODY], request: ApiRequest
) -> Response[RerankResponse | list[TeiRank]]:
    """The texts by how well they answer the query.

    Scores are 0 to 1, or logits with `raw_scores`; of a model of token vectors, sums of maxima.

    With `documents` in place of `texts`, request, answer and errors are those of `POST /v1/rerank`.
    """
    options = msgspec.structs.replace(data, return_documents=data.return_documents or data.return_text)
    if isinstance(data.texts, UnsetType):
        if isinstance(data.documents, UnsetType):
            raise InvalidRequest(
                "The request is not valid: missing required field `documents`, or `texts` for the answer of "
                "text-embeddings-inference",
                param="documents",
            )
        return ApiResponse(await ranking.answer(request, options, data.query, data.documents))
    request.scope["state"]["errors"] = ERRORS
    if not isinstance(data.documents, UnsetType):
        raise InvalidRequest("texts and documents are both there; send one of them", param="texts")
    settings: Settings = request.app.state.settings
    texts = documents.texts(data.texts, settings, TEXTS)
    rank = await ranking.run(request, options, documents.query(data.query, settings), texts, TEXTS)
    return ApiResponse(
        [
            TeiRank(
                index=item.index,
                score=item.score,
                text=UNSET if item.document is None else item.document,
                truncated=item.truncated or UNSET,
            )
            for item in rank.results
        ],
        headers=headers.of(request, rank.scored),
    )


@post(
    "/predict",
    status_code=200,
    tags=["text-embeddings-inference"],
    responses=ERRORS.responses(401, 404, 413, 415, 503),
    summary="Classify texts or pairs of texts, as text-embeddings-inference does",
)
async def predict(
    data: Annotated[PredictRequest, PREDICT_BODY], request: ApiRequest
) -> Response[list[Prediction] | list[list[Prediction]]]:
    """The labels of a text or a pair, the best first; or of each of a list of lists."""
    items, alone = documents.sequences(data.inputs, request.app.state.settings, INPUTS)
    ask = ScoreAsk(task="classify", model=data.model, items=items, options=data, field=INPUTS.name)
    manifest, scored = await work.score(request, ask)
    labels = scoring.predictions(scored.logits, manifest.scores, raw_scores=bool(data.raw_scores))
    return ApiResponse(labels[0] if alone else labels, headers=headers.of(request, scored))
