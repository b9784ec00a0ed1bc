"""Scores of pairs by a model of token vectors: both texts by themselves, and the sums of their maxima."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np

from embed_onnx.engine import maxsim
from embed_onnx.engine.vectors import Vector
from embed_onnx.errors import InvalidRequest
from embed_onnx.models.inputs import Item
from embed_onnx.models.options import Options
from embed_onnx.models.outcome import Scored
from embed_onnx.models.request_pairs import ScoreOptions
from embed_onnx.models.request_tokenizer import in_tokenizer_thread
from embed_onnx.models.token_vectors import TokenEncoding, TokensEmbedded
from embed_onnx.models.tokenizer import Tokens


class Pairs:
    """The pairs of one request; equal queries are embedded once."""

    def __init__(self, model: TokenEncoding, items: Sequence[Item], options: ScoreOptions) -> None:
        self._model = model
        self._options = options
        pairs = [item for item in items if not isinstance(item, str)]
        if len(pairs) < len(items):
            raise InvalidRequest(
                f"{options.field} has a single text, and {model.manifest.name} scores pairs; send pairs",
                param=options.field,
            )
        self._queries = list(dict.fromkeys(query for query, _ in pairs))
        places = {query: place for place, query in enumerate(self._queries)}
        self._places = [places[query] for query, _ in pairs]
        self._documents = [document for _, document in pairs]

    def score_now(self, first: int) -> Scored:
        """The scores; errors count pairs from ``first``. Blocks."""
        with _named("query"):
            queries = self._model.embed_tokens_now(self._queries, self._of("query"))
        with _named(self._options.field):
            documents = self._model.embed_tokens_now(self._documents, self._of("document"), first=first)
        return self._scored(queries, documents)

    async def score(self, *, tenant: str, seconds: float) -> Scored:
        """The same for an event loop."""
        end = time.perf_counter() + seconds
        with _named("query"):
            queries = await self._model.embed_tokens(
                self._queries, self._of("query"), tenant=tenant, seconds=seconds
            )
        with _named(self._options.field):
            documents = await self._model.embed_tokens(
                self._documents, self._of("document"), tenant=tenant, seconds=end - time.perf_counter()
            )
        return await in_tokenizer_thread(partial(self._scored, queries, documents))

    def _of(self, role: str) -> Options:
        """The options of the request for texts of a role."""
        limits = [self._options.max_tokens]
        if role == "document" and self._options.max_tokens_per_doc is not None:
            special = len(self._model.files.load().tokenizer.template)
            limits.append(self._options.max_tokens_per_doc + special)
        return Options(
            prompt_name=role,
            truncate=self._options.truncate,
            truncation_side=self._options.truncation_side,
            max_tokens=min((limit for limit in limits if limit is not None), default=None),
        )

    def _scored(self, queries: TokensEmbedded, documents: TokensEmbedded) -> Scored:
        places = np.array(self._places)
        logits: Vector = np.empty((len(places), 1), np.float32)
        for place, query in enumerate(queries.vectors):
            of_query = np.flatnonzero(places == place)
            logits[of_query, 0] = maxsim.scores(query, [documents.vectors[each] for each in of_query])
        if self._model.manifest.token_vectors.similarity == "meanmaxsim":
            counts = [max(1, len(queries.vectors[place])) for place in self._places]
            logits /= np.array(counts, np.float32)[:, None]
        return Scored(
            logits=logits,
            bounded=False,
            tokens=[
                _together(queries.tokens[place], tokens)
                for place, tokens in zip(self._places, documents.tokens, strict=True)
            ],
            hits=documents.hits,
            tokenize_seconds=queries.tokenize_seconds + documents.tokenize_seconds,
            queue_seconds=queries.queue_seconds + documents.queue_seconds,
            infer_seconds=queries.infer_seconds + documents.infer_seconds,
        )


def _together(query: Tokens, document: Tokens) -> Tokens:
    """The tokens of a pair."""
    return Tokens(
        query.ids + document.ids,
        query.full_length + document.full_length,
        exact=query.exact and document.exact,
    )


@contextmanager
def _named(field: str) -> Iterator[None]:
    """Call the inputs by another name in errors: a list of texts, or the query."""
    try:
        yield
    except InvalidRequest as err:
        if err.param == "input":
            name = "input[0]" if field == "query" else "input"
            err.args = (str(err).replace(name, field, 1),)
            err.param = field
        raise
