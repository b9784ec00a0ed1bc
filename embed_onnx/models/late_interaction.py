"""Scores of pairs by a model of token vectors: both texts by themselves, and the sums of their maxima."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
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
        special = len(self._model.files.load().tokenizer.template)
        with self._queries_named(first):
            queries = self._model.embed_tokens_now(self._queries, self._of("query", special))
        with self._documents_named():
            documents = self._model.embed_tokens_now(
                self._documents, self._of("document", special), first=first
            )
        return self._scored(queries, documents)

    async def score(self, *, tenant: str, seconds: float) -> Scored:
        """The same for an event loop."""
        end = time.perf_counter() + seconds
        special = len((await self._model.files.load_async()).tokenizer.template)
        with self._queries_named(0):
            queries = await self._model.embed_tokens(
                self._queries, self._of("query", special), tenant=tenant, seconds=end - time.perf_counter()
            )
        with self._documents_named():
            documents = await self._model.embed_tokens(
                self._documents,
                self._of("document", special),
                tenant=tenant,
                seconds=end - time.perf_counter(),
            )
        return await in_tokenizer_thread(partial(self._scored, queries, documents))

    def _of(self, role: str, special: int) -> Options:
        """The options of the request for texts of a role, which get so many special tokens."""
        limits = [self._options.max_tokens]
        if role == "document" and self._options.max_tokens_per_doc is not None:
            limits.append(self._options.max_tokens_per_doc + special)
        return Options(
            prompt_name=role,
            truncate=self._options.truncate,
            truncation_side=self._options.truncation_side,
            max_tokens=min((limit for limit in limits if limit is not None), default=None),
        )

    def _queries_named(self, first: int) -> AbstractContextManager[None]:
        """Have errors name a query by itself, or by the first pair that has it where there are several."""
        if len(self._queries) == 1:
            return _named("query", lambda _: "query")
        field = self._options.field
        return _named(field, lambda place: f"the query of {field}[{first + self._places.index(place)}]")

    def _documents_named(self) -> AbstractContextManager[None]:
        field = self._options.field
        return _named(field, lambda place: f"{field}[{place}]")

    def _scored(self, queries: TokensEmbedded, documents: TokensEmbedded) -> Scored:
        places = np.array(self._places)
        logits: Vector = np.empty((len(places), 1), np.float32)
        for place, query in enumerate(queries.vectors):
            of_query = np.flatnonzero(places == place)
            logits[of_query, 0] = maxsim.scores(
                query, [documents.vectors[each] for each in of_query], self._model.native_kernels
            )
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
def _named(field: str, name_of: Callable[[int], str]) -> Iterator[None]:
    """Call the inputs of a field by other names in errors, by their places in the list."""
    try:
        yield
    except InvalidRequest as err:
        if err.param == "input":
            message = re.sub(r"\binput\[(\d+)\]", lambda match: name_of(int(match[1])), str(err))
            err.args = (message,)
            err.param = field
        raise
