"""What a model that scores does: logits of texts and of pairs, documents by their scores, labels by theirs.

``Scoring`` is the part of ``Model`` for that; in a program:

    with Model.load("artifacts/my-reranker") as model:
        best = model.rank("how tall is the tower", documents, top_n=3)
"""

import math
import time
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, TypedDict, Unpack

import msgspec
import numpy as np
from msgspec import Meta

from embed_onnx.artifact.outputs import Activation, Scores, TokenVectors
from embed_onnx.engine.outputs.scores import activated
from embed_onnx.engine.vectors import Vector
from embed_onnx.errors import InvalidRequest
from embed_onnx.models import inputs, outcome, tasks
from embed_onnx.models.distinct import Distinct
from embed_onnx.models.inputs import Item
from embed_onnx.models.late_interaction import Pairs
from embed_onnx.models.outcome import Scored
from embed_onnx.models.request_pairs import RequestPairs, ScoreOptions
from embed_onnx.models.token_vectors import TokenEncoding
from embed_onnx.models.tokenizer import Tokens
from embed_onnx.models.work import Work
from embed_onnx.scheduling.jobs import Job


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """One document of a rank, by its place in the request; ``truncated``: it or the query was cut."""

    index: int
    score: float
    truncated: bool
    document: str | None = None


class Prediction(msgspec.Struct, frozen=True):
    """A label, and how well it fits."""

    label: Annotated[str, Meta(description="Its name.")]
    score: Annotated[float, Meta(description="From 0 to 1; a logit with `raw_scores`.")]


class RankOptions(TypedDict, total=False):
    """The keywords of ``Scoring.rank``; see there."""

    top_n: int | None
    return_documents: bool
    raw_scores: bool
    truncate: bool


class Scoring(TokenEncoding):
    """The part of a model that scores, be it by token vectors.

    Thread-safe, and blocks or awaits as the rest of ``Model`` does.
    """

    def rank(self, query: str, documents: Iterable[str], **options: Unpack[RankOptions]) -> list[Ranked]:
        """The documents by how well they answer a query, the best first, and of equal ones the first.

        Blocks, and releases the GIL meanwhile. No score depends on another document, or on their number.

        Args:
            query: A text.
            documents: A list of texts.
            options: ``top_n``: So many of the best; without it, all.
                ``return_documents``: Each result has its text.
                ``raw_scores``: Scores are logits; otherwise they are 0 to 1, their sigmoids, whatever
                activation the checkpoint has. Those of a model of token vectors are always sums of maxima.
                ``truncate``: Cut pairs that are longer than the model takes (the default), or refuse them.

        Raises:
            TaskNotSupported: The model is not a reranker.
            InvalidRequest: A text is empty or none, there are no documents, or ``top_n`` is below 1.
            TextTooLong: A pair is too long and ``truncate`` is off.
        """
        items = self._pairs(query, documents, options)
        scored = self.score_now(items, _score_options(options))
        return ranked(scored, [document for _, document in items], **_of_results(options))

    async def rank_async(
        self, query: str, documents: Iterable[str], **options: Unpack[RankOptions]
    ) -> list[Ranked]:
        """``rank`` for an event loop. Cancelling it takes what still waits out of the queue."""
        items = self._pairs(query, documents, options)
        scored = await self.score(items, _score_options(options))
        return ranked(scored, [document for _, document in items], **_of_results(options))

    def classify(
        self, texts: Item | Sequence[Item], *, raw_scores: bool = False, truncate: bool = True
    ) -> list[Prediction] | list[list[Prediction]]:
        """The labels of texts or of pairs, the best first: a list of them for each, or that of one alone.

        Blocks. A pair is a tuple. Scores add up to 1, or are 0 to 1 each where the checkpoint has a sigmoid
        or one label; with ``raw_scores``, they are logits.

        Raises:
            TaskNotSupported: The model makes vectors.
            InvalidRequest: A text is empty or none, or the model takes no pairs.
            TextTooLong: An item is too long and ``truncate`` is off.
        """
        tasks.check("classify", self.manifest)
        items, alone = inputs.items(texts)
        scored = self.score_now(items, ScoreOptions(truncate=truncate))
        labels = predictions(scored.logits, self.manifest.scores, raw_scores=raw_scores)
        return labels[0] if alone else labels

    async def classify_async(
        self, texts: Item | Sequence[Item], *, raw_scores: bool = False, truncate: bool = True
    ) -> list[Prediction] | list[list[Prediction]]:
        """``classify`` for an event loop. Cancelling it takes what still waits out of the queue."""
        tasks.check("classify", self.manifest)
        items, alone = inputs.items(texts)
        scored = await self.score(items, ScoreOptions(truncate=truncate))
        labels = predictions(scored.logits, self.manifest.scores, raw_scores=raw_scores)
        return labels[0] if alone else labels

    def score_now(self, items: Sequence[Item], options: ScoreOptions, *, first: int = 0) -> Scored:
        """The logits of texts and pairs, with token counts and timings; errors count items from ``first``.

        Blocks. An interrupt takes what still waits out of the queue.
        """
        if isinstance(self.manifest.output, TokenVectors):
            return Pairs(self, items, options).score_now(first)
        started = time.perf_counter()
        parts = self.files.load()
        tokenizer = RequestPairs(parts, self.manifest, options)
        distinct = Distinct(self._cache, "logits")
        job = Work(self._scheduler, tokenizer, distinct).run(parts.vectors, items, first=first)
        return _scored(job, distinct, started)

    def item_tokens(self, items: Sequence[Item], options: ScoreOptions, *, first: int = 0) -> list[Tokens]:
        """What the model would see of texts and pairs; errors count items from ``first``. Blocks.

        Raises:
            InvalidRequest: The model takes no pairs, and one of the items is.
            TextTooLong: An item is over the limit and must not be cut.
        """
        return RequestPairs(self.files.load(), self.manifest, options).tokens(items, first=first)

    async def score(
        self, items: Sequence[Item], options: ScoreOptions, *, tenant: str = "", seconds: float = math.inf
    ) -> Scored:
        """``score_now`` for an event loop, which runs neither tokenization nor inference.

        Cancelling it takes what still waits out of the queue. Tenants have equal shares of the lanes. What
        cannot be done within so many seconds is refused, or given up as soon as that is clear.
        """
        if isinstance(self.manifest.output, TokenVectors):
            return await Pairs(self, items, options).score(tenant=tenant, seconds=seconds)
        started = time.perf_counter()
        parts = await self.files.load_async()
        tokenizer = RequestPairs(parts, self.manifest, options)
        distinct = Distinct(self._cache, "logits", tenant)
        work = Work(self._scheduler, tokenizer, distinct)
        job = await work.run_async(parts.vectors, items, tenant=tenant, end=started + seconds)
        return _scored(job, distinct, started)

    def _pairs(self, query: str, documents: Iterable[str], options: RankOptions) -> list[tuple[str, str]]:
        """The pairs of a rank, checked."""
        tasks.check("rerank", self.manifest)
        inputs.check_text(query, "query", "query")
        check_top_n(options.get("top_n"))
        return [(query, document) for document in inputs.texts(documents, "documents")]


def check_top_n(top_n: int | None) -> None:
    """Refuse to return no documents.

    Raises:
        InvalidRequest: ``top_n`` is below 1.
    """
    if top_n is not None and top_n < 1:
        raise InvalidRequest(f"top_n is {top_n}; send at least 1, or leave it out for all", param="top_n")


def ranked(
    scored: Scored,
    documents: Sequence[str],
    *,
    top_n: int | None = None,
    return_documents: bool = False,
    raw_scores: bool = False,
) -> list[Ranked]:
    """The documents by their scores, the best first, of equal ones the first; all without ``top_n``."""
    logits = scored.logits[:, 0]
    scores = relevances(scored, raw_scores=raw_scores)
    order = np.argsort(-logits, kind="stable")[:top_n]
    return [
        Ranked(
            index=int(place),
            score=float(scores[place]),
            truncated=scored.tokens[place].truncated,
            document=documents[place] if return_documents else None,
        )
        for place in order
    ]


def relevances(scored: Scored, *, raw_scores: bool) -> Vector:
    """A score for each item of a model of one label, float32 [items].

    Scores are 0 to 1 whatever activation the checkpoint has, as clients compare them with thresholds; but
    those of a model of token vectors are sums over the query's tokens, which no activation was trained for.
    """
    scores: Vector = activated(scored.logits, "none" if raw_scores or not scored.bounded else "sigmoid")[:, 0]
    return scores


def probabilities(logits: Vector, output: Scores, *, raw_scores: bool) -> Vector:
    """A score for each label of each item, float32 [items, labels], from 0 to 1 unless they are raw."""
    activation: Activation = "sigmoid" if len(output.labels) == 1 else "softmax"
    if raw_scores:
        activation = "none"
    elif output.activation != "none" and len(output.labels) > 1:
        activation = output.activation
    return activated(logits, activation)


def predictions(logits: Vector, output: Scores, *, raw_scores: bool) -> list[list[Prediction]]:
    """The labels of each item by their scores, the best first, of equal ones the first."""
    scores = probabilities(logits, output, raw_scores=raw_scores)
    orders = np.argsort(-logits, axis=-1, kind="stable")
    return [
        [Prediction(output.labels[place], float(row[place])) for place in order]
        for row, order in zip(scores, orders, strict=True)
    ]


def _scored(job: Job[Vector], distinct: Distinct, started: float) -> Scored:
    """The result of a finished job."""
    return Scored(
        logits=distinct.results(job.results),
        **outcome.fields(job, distinct, started),
    )


def _score_options(options: RankOptions) -> ScoreOptions:
    return ScoreOptions(truncate=options.get("truncate", True), field="documents")


def _of_results(options: RankOptions) -> dict[str, Any]:
    """The options that are about results."""
    return {name: value for name, value in options.items() if name != "truncate"}
