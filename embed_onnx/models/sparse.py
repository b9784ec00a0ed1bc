"""What a sparse model does: of each text, weights of some entries of the vocabulary.

``SparseEncoding`` is the part of ``Model`` for that; in a program:

    with Model.load("artifacts/my-splade") as model:
        documents = model.encode_sparse(["Hello", "world"], prompt_name="document")
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypedDict, TypeVar, Unpack

import msgspec
import numpy as np
from numpy.typing import NDArray

from embed_onnx.engine.outputs.sparse import NOTHING, SparseVector
from embed_onnx.engine.vectors import Vector
from embed_onnx.errors import InvalidRequest
from embed_onnx.models import outcome, prompts, tasks
from embed_onnx.models.distinct import Distinct
from embed_onnx.models.inputs import Inputs, OneOrMore, listed
from embed_onnx.models.options import Options
from embed_onnx.models.outcome import Outcome
from embed_onnx.models.part import Part
from embed_onnx.models.query_table import QueryTable, QueryTokenizer
from embed_onnx.models.request_tokenizer import off_loop
from embed_onnx.models.work import Work
from embed_onnx.scheduling.jobs import Job

T = TypeVar("T")
TASK: tasks.Task = "embed_sparse"
VECTORS_AT_ONCE = 8
"""Whose weights are picked or named on the event loop, about 0.1 ms."""


class SparseOptions(TypedDict, total=False):
    """The keywords of ``SparseEncoding.encode_sparse`` that are options of the request; see there."""

    prompt: str | None
    prompt_name: str | None
    truncate: bool
    add_special_tokens: bool


class SparseRows(msgspec.Struct, frozen=True):
    """Sparse vectors of texts, as the parts of a matrix [texts, entries] in compressed rows (CSR).

    The entries of row i are ``indices[indptr[i]:indptr[i + 1]]``, ascending, and their weights stand at the
    same places: ``scipy.sparse.csr_array((weights, indices, indptr), shape)`` is that matrix.

    indptr int64 [texts + 1], indices int32 and weights float32 [all entries].
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    weights: Vector
    shape: tuple[int, int]

    @classmethod
    def of(cls, vectors: Sequence[SparseVector], entries: int) -> "SparseRows":
        """Those of some sparse vectors over so many entries."""
        indptr = np.zeros(len(vectors) + 1, np.int64)
        np.cumsum([len(vector.indices) for vector in vectors], out=indptr[1:])
        return cls(
            indptr=indptr,
            indices=np.concatenate([np.empty(0, np.int32), *(vector.indices for vector in vectors)]),
            weights=np.concatenate([np.empty(0, np.float32), *(vector.weights for vector in vectors)]),
            shape=(len(vectors), entries),
        )

    def __iter__(self) -> Iterator[SparseVector]:
        """The sparse vector of each row."""
        for start, end in zip(self.indptr[:-1], self.indptr[1:], strict=True):
            yield SparseVector(self.indices[start:end], self.weights[start:end])


class SparseEmbedded(Outcome, frozen=True, kw_only=True):
    """Sparse vectors, one an input."""

    vectors: list[SparseVector]


class SparseEncoding(Part):
    """The part of a sparse model. Thread-safe, and blocks or awaits as the rest of ``Model`` does."""

    def encode_sparse(
        self, inputs: OneOrMore, *, max_active_dims: int | None = None, **options: Unpack[SparseOptions]
    ) -> SparseRows:
        """The sparse vectors of texts, or of token ids; one alone is a list of one.

        Blocks, and releases the GIL meanwhile. No vector depends on another text.

        Args:
            inputs: A text or its token ids, or a list of either.
            max_active_dims: So many of a text's greatest weights are kept, of equal ones the first.
            options: As of ``Model.encode``.

        Raises:
            TaskNotSupported: The model is not a sparse one.
            InvalidRequest: An option or an input is wrong.
            TextTooLong: A text is too long and ``truncate`` is off.
        """
        items, _ = listed(inputs)
        vectors = self.embed_sparse_now(items, Options(**options)).vectors
        return self._rows(vectors, max_active_dims)

    async def encode_sparse_async(
        self, inputs: OneOrMore, *, max_active_dims: int | None = None, **options: Unpack[SparseOptions]
    ) -> SparseRows:
        """``encode_sparse`` for an event loop. Cancelling it takes what still waits out of the queue."""
        items, _ = listed(inputs)
        vectors = (await self.embed_sparse(items, Options(**options))).vectors
        join = partial(self._rows, vectors, max_active_dims)
        return await off_loop(join, quick=len(vectors) <= VECTORS_AT_ONCE)

    def embed_sparse_now(self, inputs: Inputs, options: Options, *, first: int = 0) -> SparseEmbedded:
        """The sparse vectors of a list of inputs, with token counts and timings; errors count from ``first``.

        Blocks. An interrupt takes what still waits out of the queue.
        """
        started = time.perf_counter()
        tasks.check(TASK, self.manifest)
        parts = self.files.load()
        if parts.queries is not None and prompts.are_queries(options):
            queries = QueryTokenizer(parts.queries, self.manifest, options)
            return _weighed(parts.queries, queries, inputs, started, first=first)
        tokenizer = self._request_tokenizer(parts, options)
        distinct = Distinct(self._cache, "sparse")
        job = Work(self._scheduler, tokenizer, distinct).run(parts.vectors, inputs, first=first)
        return _embedded(job, distinct, started)

    async def embed_sparse(
        self, inputs: Inputs, options: Options, *, tenant: str = "", seconds: float = math.inf
    ) -> SparseEmbedded:
        """``embed_sparse_now`` for an event loop, which runs neither tokenization nor inference.

        Cancelling it takes what still waits out of the queue. Tenants have equal shares of the lanes. What
        cannot be done within so many seconds is refused, or given up as soon as that is clear.
        """
        started = time.perf_counter()
        tasks.check(TASK, self.manifest)
        parts = await self.files.load_async()
        if parts.queries is not None and prompts.are_queries(options):
            queries = QueryTokenizer(parts.queries, self.manifest, options)
            weigh = partial(_weighed, parts.queries, queries, inputs, started)
            return await off_loop(weigh, quick=queries.is_quick(inputs))
        tokenizer = self._request_tokenizer(parts, options)
        distinct = Distinct(self._cache, "sparse", tenant)
        work = Work(self._scheduler, tokenizer, distinct)
        job = await work.run_async(parts.vectors, inputs, tenant=tenant, end=started + seconds)
        return _embedded(job, distinct, started)

    def terms(self, indices: Sequence[int]) -> list[str]:
        """The vocabulary's entries at some places."""
        return self.files.load().tokenizer.words(indices)

    async def terms_async(self, vectors: Sequence[SparseVector]) -> list[list[str]]:
        """The vocabulary's entries of each of some vectors, for an event loop."""
        return await _off_loop(lambda vector: self.terms(vector.indices.tolist()), vectors)

    def _rows(self, vectors: Sequence[SparseVector], max_active_dims: int | None) -> SparseRows:
        kept = [greatest(vector, max_active_dims) for vector in vectors]
        return SparseRows.of(kept, self.manifest.sparse.entries)


def check_active_dims(count: int | None) -> None:
    """Refuse to keep no weights.

    Raises:
        InvalidRequest: The number is below 1.
    """
    if count is not None and count < 1:
        raise InvalidRequest(
            f"max_active_dims is {count}; send at least 1, or leave it out for all", param="max_active_dims"
        )


def greatest(vector: SparseVector, count: int | None) -> SparseVector:
    """So many of the greatest weights of a vector, of equal ones the first; all for None.

    Raises:
        InvalidRequest: The number is below 1.
    """
    check_active_dims(count)
    if count is None or len(vector.weights) <= count:
        return vector
    places = np.sort(np.argsort(-vector.weights, kind="stable")[:count])
    return SparseVector(vector.indices[places], vector.weights[places])


async def greatest_async(vectors: Sequence[SparseVector], count: int | None) -> list[SparseVector]:
    """``greatest`` of each of some vectors, for an event loop."""
    if count is None:
        return [*vectors]
    return await _off_loop(lambda vector: greatest(vector, count), vectors)


async def _off_loop(work: Callable[[SparseVector], T], vectors: Sequence[SparseVector]) -> list[T]:
    """Do something with each vector, in another thread if there are many."""
    return await off_loop(lambda: [*map(work, vectors)], quick=len(vectors) <= VECTORS_AT_ONCE)


def _embedded(job: Job[Any], distinct: Distinct, started: float) -> SparseEmbedded:
    """The result of a finished job."""
    vectors = distinct.each(job.results, _packed, _unpacked, NOTHING)
    return SparseEmbedded(vectors=vectors, **outcome.fields(job, distinct, started))


def _weighed(
    table: QueryTable, tokenizer: QueryTokenizer, inputs: Inputs, started: float, *, first: int = 0
) -> SparseEmbedded:
    """The result of queries that take no inference."""
    tokens = tokenizer.tokens(inputs, first=first)
    tokenized = time.perf_counter()
    vectors = [table.vector(item.ids) for item in tokens]
    return SparseEmbedded(
        vectors=vectors,
        tokens=tokens,
        hits=0,
        tokenize_seconds=tokenized - started,
        queue_seconds=0.0,
        infer_seconds=time.perf_counter() - tokenized,
    )


def _packed(vector: SparseVector) -> bytes:
    """Indices and weights, four bytes each."""
    return vector.indices.tobytes() + vector.weights.tobytes()


def _unpacked(packed: bytes) -> SparseVector:
    count = len(packed) // 8
    return SparseVector(
        np.frombuffer(packed, np.int32, count), np.frombuffer(packed, np.float32, count, offset=4 * count)
    )
