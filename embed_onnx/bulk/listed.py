"""Sparse vectors or token vectors of texts: values of any size, each written as it was computed.

``sparse`` and ``token_vectors`` open the model and say what differs.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from embed_onnx.bulk import run, stream, writers
from embed_onnx.bulk.blocks import Block
from embed_onnx.bulk.inputs import Inputs
from embed_onnx.bulk.journal import Plan, State
from embed_onnx.bulk.run import Immediate, Result, Target
from embed_onnx.bulk.writers import Meta, Values, Writer
from embed_onnx.models import isolate, prompts
from embed_onnx.models.model import Model
from embed_onnx.models.options import Options
from embed_onnx.models.sparse import SparseEmbedded
from embed_onnx.models.token_vectors import TokensEmbedded

Embedded = SparseEmbedded | TokensEmbedded


class ListedPlan(Plan, frozen=True, kw_only=True):
    """What decides the tokens of texts; those of each kind have more."""

    prompt: str
    queries: bool
    truncate: bool
    literal_special_tokens: bool


class ListedMeta(Meta, frozen=True, kw_only=True):
    """Of a result of such vectors, of ``queries`` or of documents."""

    prompt: str
    queries: bool


M = TypeVar("M", bound=ListedMeta)


class Embedder(msgspec.Struct, Generic[M], frozen=True, kw_only=True):
    """A model that is loaded, whose options have been tried, and what becomes of its vectors.

    ``embed_now`` is the model's method; ``value`` makes a value of the ``column`` of one of its vectors;
    ``plan`` and ``meta`` make those of the kind, of the fields that both kinds have.
    """

    model: Model
    options: Options
    lanes: int
    embed_now: Callable[..., Embedded]
    value: Callable[[Any], Any]
    column: Values
    plan: Callable[..., ListedPlan]
    meta: Callable[..., M]


def embed_texts(texts: Sequence[str], opened: AbstractContextManager[Embedder[M]]) -> None:
    """Write the vectors of a few texts, in order, as JSON lines on standard output.

    Raises:
        SetupError: The model's artifact is not there, or a text is empty.
        InvalidRequest: A text or an option is wrong.
    """
    stream.check_texts(texts)
    with opened as embedder:
        embedded = embedder.embed_now(texts, embedder.options)
    stream.write_texts(embedded.tokens, [*map(embedder.value, embedded.vectors)], embedder.column)


def embed_files(
    inputs: Inputs, target: Target, opened: AbstractContextManager[Embedder[M]], kind: type[M]
) -> M:
    """Write the vectors of files, from where an earlier run of the same command stopped.

    Raises:
        SetupError: The model's artifact, a file or a column is not there, or the output holds something else.
        InvalidRequest: An option is wrong.
    """
    return run.run(inputs, target, _work(inputs, opened), kind)


@contextlib.contextmanager
def _work(inputs: Inputs, opened: AbstractContextManager[Embedder[M]]) -> Iterator["_Listed[M]"]:
    with opened as embedder:
        yield _Listed(inputs, embedder)


class _Listed(Immediate, Generic[M]):
    """The ``Work`` of both kinds."""

    def __init__(self, inputs: Inputs, embedder: Embedder[M]) -> None:
        model, options = embedder.model, embedder.options
        self.plan = embedder.plan(
            **run.plan_fields(inputs, model),
            prompt=prompts.resolve(model.manifest, options),
            queries=prompts.are_queries(options),
            truncate=options.truncate,
            literal_special_tokens=model.files.literal_special_tokens,
        )
        self.lanes = embedder.lanes
        self._embedder = embedder

    def writer(self, output: Path) -> Writer:
        """What writes an output.

        Raises:
            SetupError: It cannot keep the columns, or holds no such values.
        """
        return writers.writer(output, self.plan.inputs, self._embedder.column)

    def compute(self, block: Block) -> Result:
        """A block's values; a text that the model cannot take becomes a reject."""
        embedder = self._embedder
        isolated = isolate.embed(embedder.model, embedder.embed_now, block.texts, embedder.options)
        embedded = isolated.outcome
        values = [*map(embedder.value, embedded.vectors)]
        return run.result(block, isolated.failures, values, embedded.tokens)

    def meta(self, state: State, fields: dict[str, Any]) -> M:
        """What the result says of itself."""
        del state
        return self._embedder.meta(**fields, prompt=self.plan.prompt, queries=self.plan.queries)
