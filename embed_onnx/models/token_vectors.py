"""What a model of token vectors does: of each text, a vector for each of its tokens.

``TokenEncoding`` is the part of ``Model`` for that; in a program:

    with Model.load("artifacts/my-colbert") as model:
        (query,) = model.encode_tokens("how tall is the tower", prompt_name="query")
        documents = model.encode_tokens(["It is 300 m tall.", "It is open on Sundays."])

How well a document answers the query is ``maxsim.score(query, document)``; ``Model.rank`` does all of it.
"""

import itertools
import math
import time
from functools import partial
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from embed_onnx.artifact.outputs import TokenRole
from embed_onnx.engine.vectors import Vector
from embed_onnx.models import outcome, request_tokenizer, tasks
from embed_onnx.models.distinct import Distinct
from embed_onnx.models.inputs import Inputs, OneOrMore, listed
from embed_onnx.models.options import InputType, Options
from embed_onnx.models.outcome import Outcome
from embed_onnx.models.part import Part
from embed_onnx.models.request_tokenizer import in_tokenizer_thread
from embed_onnx.models.tokenizer import Tokenizer, Tokens
from embed_onnx.models.work import Work
from embed_onnx.scheduling.jobs import Job

TASK: tasks.Task = "embed_tokens"


class TokenOptions(TypedDict, total=False):
    """The keywords of ``TokenEncoding.encode_tokens``; see there."""

    prompt: str | None
    prompt_name: str | None
    input_type: InputType | None
    truncate: bool
    add_special_tokens: bool


class TokensEmbedded(Outcome, frozen=True, kw_only=True):
    """The vectors of each input's tokens, float32 [vectors, dimensions]; skipped tokens have none."""

    vectors: list[Vector]
    role: TokenRole


class TokenTexts(NamedTuple):
    """The vocabulary's entry of each vector of an input; so many of the last ones are a query's expansion."""

    entries: list[str]
    expansion: int


class TokenEncoding(Part):
    """The part of such a model. Thread-safe, and blocks or awaits as the rest of ``Model`` does."""

    def encode_tokens(self, inputs: OneOrMore, **options: Unpack[TokenOptions]) -> list[Vector]:
        """The token vectors of texts, or of token ids, float32 [vectors, dimensions] each, in a list.

        Blocks, and releases the GIL meanwhile. No vector depends on another text.

        Args:
            inputs: A text or its token ids, or a list of either; of one alone, the list has one array.
            options: ``prompt_name="query"`` or ``input_type="query"``: The texts are queries. All others are
                documents, and so are token ids.
                ``prompt``: Is put before each text in place of the prompt of its role.
                ``truncate``: Cut texts that are longer than the model takes (the default), or refuse them.
                ``add_special_tokens``: False takes token ids as they are.

        Raises:
            TaskNotSupported: The model makes no token vectors.
            InvalidRequest: An option or an input is wrong.
            TextTooLong: A text is too long and ``truncate`` is off.
        """
        items, _ = listed(inputs)
        return self.embed_tokens_now(items, Options(**options)).vectors

    async def encode_tokens_async(self, inputs: OneOrMore, **options: Unpack[TokenOptions]) -> list[Vector]:
        """``encode_tokens`` for an event loop. Cancelling it takes what still waits out of the queue."""
        items, _ = listed(inputs)
        return (await self.embed_tokens(items, Options(**options))).vectors

    def embed_tokens_now(self, inputs: Inputs, options: Options, *, first: int = 0) -> TokensEmbedded:
        """The token vectors of a list of inputs, with counts and timings; errors count from ``first``.

        Blocks. An interrupt takes what still waits out of the queue.
        """
        started = time.perf_counter()
        tasks.check(TASK, self.manifest)
        parts = self.files.load()
        tokenizer = self._request_tokenizer(parts, options)
        distinct = Distinct(self._cache, "token_vectors")
        job = Work(self._scheduler, tokenizer, distinct).run(parts.vectors, inputs, first=first)
        return self._tokens_embedded(job, distinct, options, started)

    async def embed_tokens(
        self, inputs: Inputs, options: Options, *, tenant: str = "", seconds: float = math.inf
    ) -> TokensEmbedded:
        """``embed_tokens_now`` for an event loop, which runs neither tokenization nor inference.

        Cancelling it takes what still waits out of the queue. Tenants have equal shares of the lanes. What
        cannot be done within so many seconds is refused, or given up as soon as that is clear.
        """
        started = time.perf_counter()
        tasks.check(TASK, self.manifest)
        parts = await self.files.load_async()
        tokenizer = self._request_tokenizer(parts, options)
        distinct = Distinct(self._cache, "token_vectors", tenant)
        work = Work(self._scheduler, tokenizer, distinct)
        job = await work.run_async(parts.vectors, inputs, tenant=tenant, end=started + seconds)
        return self._tokens_embedded(job, distinct, options, started)

    async def token_texts(self, embedded: TokensEmbedded) -> list[TokenTexts]:
        """What the vectors of each input stand for, in their order; for an event loop."""
        tokenizer = (await self.files.load_async()).tokenizer
        return await in_tokenizer_thread(partial(_texts, tokenizer, embedded))

    def _tokens_embedded(
        self, job: Job[Any], distinct: Distinct, options: Options, started: float
    ) -> TokensEmbedded:
        """The result of a finished job."""
        dimensions = self.manifest.token_vectors.dimensions
        nothing: Vector = np.empty((0, dimensions), np.float32)

        def unpacked(packed: bytes) -> Vector:
            return np.frombuffer(packed, np.float32).reshape(-1, dimensions)

        vectors = distinct.each(job.results, np.ndarray.tobytes, unpacked, nothing)
        role = request_tokenizer.role_of(self.manifest.token_vectors, options)
        return TokensEmbedded(
            vectors=[scored(*pair, role) for pair in zip(vectors, distinct.inputs, strict=True)],
            role=role,
            **outcome.fields(job, distinct, started),
        )


def scored(vectors: Vector, tokens: Tokens, role: TokenRole) -> Vector:
    """Of a text's vectors, those of tokens that the role does not skip."""
    if not role.skipped_ids and role.kept_ids is None:
        return vectors
    return vectors[_are_scored(tokens, role)]


def _are_scored(tokens: Tokens, role: TokenRole) -> NDArray[np.bool_]:
    """Of each token of a text, whether the role does not skip it."""
    kept = ~np.isin(tokens.ids, role.skipped_ids)
    if role.kept_ids is not None:
        kept &= np.isin(tokens.ids, role.kept_ids)
    return kept


def _texts(tokenizer: Tokenizer, embedded: TokensEmbedded) -> list[TokenTexts]:
    role = embedded.role
    lists = [list(itertools.compress(item.ids, _are_scored(item, role))) for item in embedded.tokens]
    return [TokenTexts(tokenizer.words(ids), _expansion(ids, role)) for ids in lists]


def _expansion(ids: list[int], role: TokenRole) -> int:
    """How many of the last ids are those that a query is filled up with."""
    expansion = role.expansion
    if expansion is None:
        return 0
    return sum(1 for _ in itertools.takewhile(lambda each: each == expansion.token_id, reversed(ids)))
