"""Token vectors of files of texts, or of a few texts as JSON lines on standard output."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from embed_onnx.bulk import loading, run, stream, writers
from embed_onnx.bulk.blocks import Block
from embed_onnx.bulk.inputs import Inputs
from embed_onnx.bulk.journal import Plan, State
from embed_onnx.bulk.run import Immediate, Result, Target
from embed_onnx.bulk.writers import MATRIX, Meta, Values, Writer
from embed_onnx.engine import dtypes
from embed_onnx.models import isolate, prompts, token_vectors
from embed_onnx.models.model import Model
from embed_onnx.models.options import Options
from embed_onnx.settings import Settings

Floats = Literal["float16", "float32"]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Which model, and how."""

    settings: Settings
    model: str | None = None
    prompt_name: str | None = None
    dtype: Floats = "float16"


class TokensPlan(Plan, frozen=True, kw_only=True):
    """All that decides which vectors a result holds."""

    prompt: str
    queries: bool
    dtype: Floats
    truncate: bool
    literal_special_tokens: bool


class TokensMeta(Meta, frozen=True, kw_only=True):
    """Of a result of token vectors, of ``queries`` or of documents."""

    prompt: str
    queries: bool
    dimensions: int
    dtype: Floats


def embed_texts(texts: Sequence[str], choice: Choice) -> None:
    """Make token vectors of a few texts, in order, as JSON lines on standard output.

    Raises:
        SetupError: The model's artifact is not there, or a text is empty.
        InvalidRequest: A text or an option is wrong.
    """
    stream.check_texts(texts)
    with _engine(choice) as (model, options, _):
        result = model.embed_tokens_now(texts, options)
    vectors = [dtypes.convert(matrix, choice.dtype) for matrix in result.vectors]
    stream.write_texts(result.tokens, vectors, Values(name=MATRIX, kind="token_vectors"))


def embed_files(inputs: Inputs, target: Target, choice: Choice) -> TokensMeta:
    """Make token vectors of files, from where an earlier run of the same command stopped.

    Raises:
        SetupError: The model's artifact, a file or a column is not there, or the output holds something else.
        InvalidRequest: An option is wrong.
    """
    return run.run(inputs, target, _work(inputs, choice), TokensMeta)


@contextlib.contextmanager
def _engine(choice: Choice) -> Iterator[tuple[Model, Options, int]]:
    """The model of a choice, its options, which have been tried, and the number of its lanes."""
    with loading.engine(choice.settings, choice.model, token_vectors.TASK, choice.prompt_name) as engine:
        model, options, _ = engine
        model.embed_tokens_now(["a"], options)
        yield engine


@contextlib.contextmanager
def _work(inputs: Inputs, choice: Choice) -> Iterator["_Embedding"]:
    with _engine(choice) as (model, options, lanes):
        plan = TokensPlan(
            **run.plan_fields(inputs, model),
            prompt=prompts.resolve(model.manifest, options),
            queries=prompts.are_queries(options),
            dtype=choice.dtype,
            truncate=options.truncate,
            literal_special_tokens=model.files.literal_special_tokens,
        )
        yield _Embedding(model, options, lanes, plan)


class _Embedding(Immediate):
    """The ``Work`` of token vectors."""

    def __init__(self, model: Model, options: Options, lanes: int, plan: TokensPlan) -> None:
        self.plan = plan
        self.lanes = lanes
        self._model = model
        self._options = options
        self._dimensions = model.manifest.token_vectors.dimensions

    def writer(self, output: Path) -> Writer:
        """What writes an output.

        Raises:
            SetupError: It cannot keep the columns, or holds no token vectors.
        """
        values = Values(name=MATRIX, kind="token_vectors", dtype=self.plan.dtype, width=self._dimensions)
        return writers.writer(output, self.plan.inputs, values)

    def compute(self, block: Block) -> Result:
        """A block's vectors as they are written; a text that the model cannot take becomes a reject."""
        isolated = isolate.embed(self._model, self._model.embed_tokens_now, block.texts, self._options)
        vectors = [dtypes.convert(matrix, self.plan.dtype) for matrix in isolated.outcome.vectors]
        return run.result(block, isolated.failures, vectors, isolated.outcome.tokens)

    def meta(self, state: State, fields: dict[str, Any]) -> TokensMeta:
        """What the result says of itself."""
        del state
        return TokensMeta(
            **fields,
            prompt=self.plan.prompt,
            queries=self.plan.queries,
            dimensions=self._dimensions,
            dtype=self.plan.dtype,
        )
