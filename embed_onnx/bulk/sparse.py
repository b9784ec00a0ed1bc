"""Sparse vectors of files of texts, or of a few texts as JSON lines on standard output."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from embed_onnx.bulk import loading, run, stream, writers
from embed_onnx.bulk.blocks import Block
from embed_onnx.bulk.inputs import Inputs
from embed_onnx.bulk.journal import Plan, State
from embed_onnx.bulk.run import Immediate, Result, Target
from embed_onnx.bulk.writers import SPARSE, Meta, Values, Writer
from embed_onnx.models import isolate, prompts, sparse
from embed_onnx.models.model import Model
from embed_onnx.models.options import Options
from embed_onnx.settings import Settings


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Which model, and how: of each text, so many of the greatest weights, or all."""

    settings: Settings
    model: str | None = None
    prompt_name: str | None = None
    max_active_dims: int | None = None


class SparsePlan(Plan, frozen=True, kw_only=True):
    """All that decides which vectors a result holds."""

    prompt: str
    queries: bool
    max_active_dims: int | None
    truncate: bool
    literal_special_tokens: bool


class SparseMeta(Meta, frozen=True, kw_only=True):
    """Of a result of sparse vectors over so many ``entries``."""

    prompt: str
    entries: int
    max_active_dims: int | None


def embed_texts(texts: Sequence[str], choice: Choice) -> None:
    """Make sparse vectors of a few texts, in order, as JSON lines on standard output.

    Raises:
        SetupError: The model's artifact is not there, or a text is empty.
        InvalidRequest: A text or an option is wrong.
    """
    stream.check_texts(texts)
    with _engine(choice) as (model, options, _):
        result = model.embed_sparse_now(texts, options)
    vectors = [sparse.greatest(vector, choice.max_active_dims) for vector in result.vectors]
    stream.write_texts(result.tokens, vectors, _VALUES)


def embed_files(inputs: Inputs, target: Target, choice: Choice) -> SparseMeta:
    """Make sparse vectors of files, from where an earlier run of the same command stopped.

    Raises:
        SetupError: The model's artifact, a file or a column is not there, or the output holds something else.
        InvalidRequest: An option is wrong.
    """
    return run.run(inputs, target, _work(inputs, choice), SparseMeta)


_VALUES = Values(name=SPARSE, kind="sparse_vectors")


@contextlib.contextmanager
def _engine(choice: Choice) -> Iterator[tuple[Model, Options, int]]:
    """The model of a choice, its options, which have been tried, and the number of its lanes."""
    sparse.check_active_dims(choice.max_active_dims)
    with loading.engine(choice.settings, choice.model, sparse.TASK, choice.prompt_name) as engine:
        model, options, _ = engine
        model.embed_sparse_now(["a"], options)
        yield engine


@contextlib.contextmanager
def _work(inputs: Inputs, choice: Choice) -> Iterator["_Weighing"]:
    with _engine(choice) as (model, options, lanes):
        plan = SparsePlan(
            **run.plan_fields(inputs, model),
            prompt=prompts.resolve(model.manifest, options),
            queries=prompts.are_queries(options),
            max_active_dims=choice.max_active_dims,
            truncate=options.truncate,
            literal_special_tokens=model.files.literal_special_tokens,
        )
        yield _Weighing(model, options, lanes, plan)


class _Weighing(Immediate):
    """The ``Work`` of sparse vectors."""

    def __init__(self, model: Model, options: Options, lanes: int, plan: SparsePlan) -> None:
        self.plan = plan
        self.lanes = lanes
        self._model = model
        self._options = options

    def writer(self, output: Path) -> Writer:
        """What writes an output.

        Raises:
            SetupError: It cannot keep the columns, or holds no sparse vectors.
        """
        return writers.writer(output, self.plan.inputs, _VALUES)

    def compute(self, block: Block) -> Result:
        """A block's vectors; a text that the model cannot take becomes a reject."""
        isolated = isolate.embed(self._model, self._model.embed_sparse_now, block.texts, self._options)
        most = self.plan.max_active_dims
        vectors = [sparse.greatest(vector, most) for vector in isolated.outcome.vectors]
        return run.result(block, isolated.failures, vectors, isolated.outcome.tokens)

    def meta(self, state: State, fields: dict[str, Any]) -> SparseMeta:
        """What the result says of itself."""
        del state
        return SparseMeta(
            **fields,
            prompt=self.plan.prompt,
            entries=self._model.manifest.sparse.entries,
            max_active_dims=self.plan.max_active_dims,
        )
