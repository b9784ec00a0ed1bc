"""Ranks of documents: the request and the answer that Jina, Cohere, vLLM and LiteLLM share."""

import uuid
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from embed_onnx.artifact.manifest import Manifest
from embed_onnx.http import answers, work
from embed_onnx.http.body import documents
from embed_onnx.http.body.documents import DOCUMENTS_SCHEMA
from embed_onnx.http.body.inputs import Field
from embed_onnx.http.body.options import ModelName, RawScores, ScoringOptions
from embed_onnx.http.body.words import RANK_WORDS
from embed_onnx.http.request import ApiRequest
from embed_onnx.http.work import ScoreAsk
from embed_onnx.models import scoring
from embed_onnx.models.outcome import Scored
from embed_onnx.models.scoring import Ranked
from embed_onnx.settings import Settings

DOCUMENTS = Field("documents")
EXAMPLE = {"query": "how tall is the tower", "documents": ["It is 300 m tall.", "It is open on Sundays."]}


class RankOptions(ScoringOptions, frozen=True, kw_only=True):
    """The fields of a rank besides its texts."""

    words = RANK_WORDS

    model: ModelName = None
    top_n: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="So many of the best; left out: all.")
    ] = None
    return_documents: Annotated[bool | None, Meta(description="Each result has its document.")] = None
    raw_scores: RawScores = None
    max_tokens_per_doc: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="A limit of tokens of each document, without special tokens."),
    ] = None


class RerankRequest(RankOptions, frozen=True, kw_only=True):
    """POST /v1/rerank."""

    query: Annotated[str, Meta(description="What the documents are ranked for.")]
    documents: Annotated[
        msgspec.Raw,
        Meta(
            description="A list of texts, or of objects with a `text`.",
            extra_json_schema={"extra": DOCUMENTS_SCHEMA},
        ),
    ]


class Text(msgspec.Struct, frozen=True):
    """A document."""

    text: Annotated[str, Meta(description="The document.")]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One document, by its place in the request; ``truncated``: it or the query was cut."""

    index: Annotated[int, Meta(description="The place of the document in the request.")]
    relevance_score: Annotated[
        float,
        Meta(description="From 0 to 1; a logit with `raw_scores`; of token vectors, the sum of maxima."),
    ]
    document: Annotated[
        Text | UnsetType, Meta(description="The document, with `return_documents`; else left out.")
    ] = UNSET
    truncated: Annotated[bool | UnsetType, Meta(description="`true` if the pair was cut; else left out.")] = (
        UNSET
    )


class RerankResponse(msgspec.Struct, frozen=True, kw_only=True):
    """``results`` are sorted by their scores, the best first, and equal ones by their places."""

    id: answers.AnswerId
    model: answers.NameOfModel
    usage: answers.RequestUsage
    results: Annotated[
        list[Result],
        Meta(description="The documents, the best first; equal ones in the order of the request."),
    ]


class Rank(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a request."""

    manifest: Manifest
    scored: Scored
    results: list[Ranked]


async def run(
    request: ApiRequest, options: RankOptions, query: str, documents: list[str], field: Field
) -> Rank:
    """Rank documents that were checked, which errors call ``field``.

    Raises:
        EmbedError: The request is wrong, cannot be served now, or its client went away.
    """
    ask = ScoreAsk(
        task="rerank",
        model=options.model,
        items=[(query, document) for document in documents],
        options=options,
        max_tokens_per_doc=options.max_tokens_per_doc,
        field=field.name,
    )
    manifest, scored = await work.score(request, ask)
    results = scoring.ranked(
        scored,
        documents,
        top_n=options.top_n,
        return_documents=bool(options.return_documents),
        raw_scores=bool(options.raw_scores),
    )
    return Rank(manifest=manifest, scored=scored, results=results)


async def answer(
    request: ApiRequest, options: RankOptions, query: str, documents_json: msgspec.Raw
) -> RerankResponse:
    """The answer that these wires share.

    Raises:
        EmbedError: The request is wrong, cannot be served now, or its client went away.
    """
    settings: Settings = request.app.state.settings
    texts = documents.texts(documents_json, settings, DOCUMENTS)
    rank = await run(request, options, documents.query(query, settings), texts, DOCUMENTS)
    return RerankResponse(
        id=str(uuid.uuid4()),
        model=rank.manifest.name,
        usage=answers.Usage.of(rank.scored.num_tokens),
        results=[_result(item) for item in rank.results],
    )


def _result(item: Ranked) -> Result:
    return Result(
        index=item.index,
        relevance_score=item.score,
        document=UNSET if item.document is None else Text(item.document),
        truncated=item.truncated or UNSET,
    )
