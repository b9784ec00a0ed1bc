"""vLLM's wire for scores, classes and token vectors; of classes, Infinity's answer as well."""

import time
import uuid
from typing import Annotated, Literal

import msgspec
import numpy as np
from litestar import post
from litestar.enums import RequestEncodingType
from litestar.openapi.spec import Example
from litestar.params import Body
from msgspec import Meta

from embed_onnx.errors import InvalidRequest
from embed_onnx.http import answers, vectors, work
from embed_onnx.http.body import documents, inputs
from embed_onnx.http.body.documents import TEXT_OR_TEXTS
from embed_onnx.http.body.inputs import Field
from embed_onnx.http.body.options import ModelName, RawScores, ScoringOptions, TokenOptions, User
from embed_onnx.http.body.words import CLASSIFY_WORDS
from embed_onnx.http.dialect import Dialect
from embed_onnx.http.errors import OPENAI
from embed_onnx.http.request import ApiRequest
from embed_onnx.http.vectors import EncodingFormat, WireType
from embed_onnx.http.work import Ask, ScoreAsk
from embed_onnx.models import scoring
from embed_onnx.models.scoring import Prediction
from embed_onnx.settings import Settings

FIRST, SECOND, INPUT = Field("text_1"), Field("text_2"), Field("input")
SCORE_BODY = Body(
    media_type=RequestEncodingType.JSON,
    examples=[Example(value={"text_1": "how tall is the tower", "text_2": ["It is 300 m tall."]})],
)
CLASSIFY_BODY = Body(
    media_type=RequestEncodingType.JSON, examples=[Example(value={"input": ["What a splendid day"]})]
)

POOLING_BODY = Body(
    media_type=RequestEncodingType.JSON,
    examples=[Example(value={"input": ["Hello", "world"], "task": "token_embed"})],
)

Texts = Annotated[
    msgspec.Raw,
    Meta(description="A text or a list of texts.", extra_json_schema={"extra": TEXT_OR_TEXTS}),
]


class ScoreRequest(ScoringOptions, frozen=True, kw_only=True):
    """POST /v1/score: one text with each of others, or texts with those in the same places."""

    text_1: Texts
    text_2: Texts
    model: ModelName = None
    raw_scores: RawScores = None


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """One pair's score."""

    index: Annotated[int, Meta(description="The place of the pair.")]
    object: Annotated[Literal["score"], Meta(description="Always `score`.")] = "score"
    score: Annotated[
        float,
        Meta(description="From 0 to 1; a logit with `raw_scores`; of token vectors, the sum of maxima."),
    ]


class ScoreResponse(msgspec.Struct, frozen=True, kw_only=True):
    """``data`` keeps the order of the pairs."""

    id: answers.AnswerId
    object: answers.ListObject = "list"
    created: answers.Created
    model: answers.NameOfModel
    data: Annotated[list[Score], Meta(description="The scores, in the order of the pairs.")]
    usage: answers.RequestUsage


class ClassifyRequest(ScoringOptions, frozen=True, kw_only=True):
    """POST /classify."""

    words = CLASSIFY_WORDS

    input: Texts
    model: ModelName = None
    raw_scores: Annotated[
        bool | None,
        Meta(description="Where it is there, the answer is Infinity's; `true`: of logits."),
    ] = None


class Classified(msgspec.Struct, frozen=True, kw_only=True):
    """The best label of one text, and the scores of all labels in the model's order."""

    index: answers.Place
    label: Annotated[str, Meta(description="The best label.")]
    probs: Annotated[
        list[float],
        Meta(description="The scores of all labels, in the model's order."),
    ]
    num_classes: Annotated[int, Meta(description="How many labels there are.")]


class ClassifyResponse(msgspec.Struct, frozen=True, kw_only=True):
    """``data`` keeps the order of ``input``."""

    id: answers.AnswerId
    object: answers.ListObject = "list"
    created: answers.Created
    model: answers.NameOfModel
    data: Annotated[list[Classified], Meta(description="The labels, in the order of `input`.")]
    usage: answers.RequestUsage


class InfinityResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Infinity's form of the same: the labels of each text, the best first."""

    object: Annotated[Literal["classify"], Meta(description="Always `classify`.")] = "classify"
    data: Annotated[list[list[Prediction]], Meta(description="The labels of each text, the best first.")]
    model: answers.NameOfModel
    usage: answers.RequestUsage
    id: answers.AnswerId
    created: answers.Created


class PoolingRequest(TokenOptions, frozen=True, kw_only=True):
    """POST /pooling, of which token vectors are served."""

    input: Annotated[msgspec.Raw, inputs.described(documents=True)]
    model: ModelName = None
    task: Annotated[
        Literal["token_embed"] | None, Meta(description="Of vLLM's tasks, the one that is served here.")
    ] = None
    encoding_format: Annotated[
        EncodingFormat | None, Meta(description="`base64`: the bytes of float32, vector after vector.")
    ] = None
    user: User = None


class Pooled(msgspec.Struct, frozen=True, kw_only=True):
    """One input's token vectors."""

    index: answers.Place
    object: Annotated[Literal["pooling"], Meta(description="Always `pooling`.")] = "pooling"
    data: Annotated[
        msgspec.Raw,
        Meta(
            description="A list of vectors, each a list of numbers; or a base64 string.",
            extra_json_schema={"extra": vectors.MATRIX_SCHEMA},
        ),
    ]


class PoolingResponse(msgspec.Struct, frozen=True, kw_only=True):
    """``data`` keeps the order of ``input``."""

    id: answers.AnswerId
    object: answers.ListObject = "list"
    created: answers.Created
    model: answers.NameOfModel
    data: Annotated[list[Pooled], Meta(description="The vectors, in the order of `input`.")]
    usage: answers.RequestUsage


@post(
    ["/v1/score", "/score"],
    status_code=200,
    tags=["rerank"],
    responses=OPENAI.responses(401, 404, 413, 415, 503),
    summary="Score pairs of texts, as vLLM does",
)
async def score(data: Annotated[ScoreRequest, SCORE_BODY], request: ApiRequest) -> ScoreResponse:
    """How well each second text answers its first one, from 0 to 1."""
    settings: Settings = request.app.state.settings
    first = documents.text_or_texts(data.text_1, settings, FIRST)
    second = documents.text_or_texts(data.text_2, settings, SECOND)
    if len(first) not in (1, len(second)):
        raise InvalidRequest(
            f"text_1 has {len(first)} texts and text_2 {len(second)}; send one text_1, or as many as text_2",
            param="text_1",
        )
    pairs = list(zip(first * len(second) if len(first) == 1 else first, second, strict=True))
    ask = ScoreAsk(task="rerank", model=data.model, items=pairs, options=data, field=SECOND.name)
    manifest, scored = await work.score(request, ask)
    scores = scoring.relevances(scored, raw_scores=bool(data.raw_scores))
    return ScoreResponse(
        id=str(uuid.uuid4()),
        created=int(time.time()),
        model=manifest.name,
        data=[Score(index=index, score=float(value)) for index, value in enumerate(scores)],
        usage=answers.Usage.of(scored.num_tokens),
    )


@post(
    "/classify",
    status_code=200,
    tags=["classify"],
    responses=OPENAI.responses(401, 404, 413, 415, 503),
    summary="Classify texts, as vLLM does, or as Infinity does",
)
async def classify(
    data: Annotated[ClassifyRequest, CLASSIFY_BODY], request: ApiRequest
) -> ClassifyResponse | InfinityResponse:
    """The label of each text; with `raw_scores`, as Infinity's clients send it, all labels, best first."""
    texts = documents.text_or_texts(data.input, request.app.state.settings, INPUT)
    ask = ScoreAsk(task="classify", model=data.model, items=texts, options=data, field=INPUT.name)
    manifest, scored = await work.score(request, ask)
    output, usage = manifest.scores, answers.Usage.of(scored.num_tokens)
    number, now = str(uuid.uuid4()), int(time.time())
    if data.raw_scores is not None:
        labels = scoring.predictions(scored.logits, output, raw_scores=data.raw_scores)
        return InfinityResponse(data=labels, model=manifest.name, usage=usage, id=number, created=now)
    scores = scoring.probabilities(scored.logits, output, raw_scores=False)
    return ClassifyResponse(
        data=[
            Classified(
                index=index,
                label=output.labels[int(np.argmax(logits))],
                probs=row.tolist(),
                num_classes=len(output.labels),
            )
            for index, (row, logits) in enumerate(zip(scores, scored.logits, strict=True))
        ],
        model=manifest.name,
        usage=usage,
        id=number,
        created=now,
    )


@post(
    ["/pooling", "/v1/pooling"],
    status_code=200,
    tags=["embeddings"],
    responses=OPENAI.responses(401, 404, 413, 415, 503),
    summary="Make a vector of each token of texts, as vLLM does",
)
async def pooling(data: Annotated[PoolingRequest, POOLING_BODY], request: ApiRequest) -> PoolingResponse:
    """The token vectors of each input, by the first model that makes them or the one that is named."""
    settings: Settings = request.app.state.settings
    ask = Ask(
        task="embed_tokens",
        model=data.model,
        input=data.input,
        options=data,
        empty_inputs=settings.empty_texts,
    )
    model, embedded = await work.run_by_token(request, ask)
    wire_type = WireType(base64=data.encoding_format == "base64")
    return PoolingResponse(
        id=str(uuid.uuid4()),
        created=int(time.time()),
        model=model.manifest.name,
        data=[
            Pooled(index=index, data=encoded)
            for index, encoded in enumerate(await vectors.encode_by_token(embedded.vectors, wire_type))
        ],
        usage=answers.Usage.of(embedded.num_tokens),
    )


DIALECT = Dialect(handlers=(score, classify, pooling), errors=OPENAI)
