"""Vectors of files of texts, or of a few texts as JSON lines on standard output."""

import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from embed_onnx.bulk import loading, run, stream, writers
from embed_onnx.bulk.blocks import Block
from embed_onnx.bulk.inputs import Inputs
from embed_onnx.bulk.journal import Plan, State
from embed_onnx.bulk.run import Result, Target
from embed_onnx.bulk.writers import Meta, Values, Writer
from embed_onnx.engine import dtypes
from embed_onnx.engine.dtypes import DType, Stored
from embed_onnx.engine.vectors import Vector
from embed_onnx.errors import SetupError
from embed_onnx.models import isolate, prompts
from embed_onnx.models.model import Model
from embed_onnx.models.options import LongTexts, Options
from embed_onnx.settings import Settings

RangesOf = Literal["rows", "model"]
"""Of int8 and uint8: the ranges of the first rows, or the artifact's own, which a server has as well."""
CALIBRATION_ROWS = 4096
"""Rows, of the first, over which ranges are taken."""
CALIBRATION_BLOCKS = 1024
"""Blocks to look for them in, so that a file of bad records does not fill the memory."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Which model, and how."""

    settings: Settings
    model: str | None = None
    prompt_name: str | None = None
    dimensions: int | None = None
    dtype: DType = "float32"
    ranges: RangesOf = "rows"


class EmbedPlan(Plan, frozen=True, kw_only=True):
    """All that decides which vectors a result holds."""

    prompt: str
    dimensions: int
    dtype: DType
    ranges: RangesOf = "rows"
    truncate: bool
    long_texts: LongTexts | UnsetType = UNSET
    """Left out where texts are cut, as plans of before do not have it."""
    literal_special_tokens: bool = False


class EmbedMeta(Meta, frozen=True, kw_only=True):
    """Of a result of vectors.

    ``ranges`` [2, dimensions] are those of int8 and uint8, taken over the first ``calibration_rows``, or the
    artifact's, and ``calibration_rows`` is None.
    """

    prompt: str
    dimensions: int
    dtype: DType
    ranges: list[list[float]] | None = None
    calibration_rows: int | None = None


def embed_texts(texts: Sequence[str], choice: Choice) -> None:
    """Embed a few texts, in order, as JSON lines on standard output.

    Raises:
        SetupError: The model's artifact is not there, a text is empty, or the dtype takes ranges.
        InvalidRequest: A text or an option is wrong.
    """
    if choice.dtype in dtypes.RANGED and choice.ranges == "rows":
        raise SetupError(
            f"{choice.dtype} takes ranges over many texts; embed a file, or choose --ranges model or another "
            "--dtype"
        )
    stream.check_texts(texts)
    with _engine(choice) as (model, options, _):
        result = model.embed_now(texts, options)
    vectors = dtypes.convert(result.vectors, choice.dtype, result.ranges)
    stream.write_texts(result.tokens, vectors, Values(name=writers.EMBEDDING))


def embed_files(inputs: Inputs, target: Target, choice: Choice) -> EmbedMeta:
    """Embed files into one, from where an earlier run of the same command stopped; say what came of it.

    Raises:
        SetupError: The model's artifact, a file or a column is not there, or the output holds something else.
        InvalidRequest: An option is wrong.
    """
    return run.run(inputs, target, _work(inputs, choice), EmbedMeta)


@contextlib.contextmanager
def _engine(choice: Choice) -> Iterator[tuple[Model, Options, int]]:
    """The model of a choice, its options, which have been tried, and the number of its lanes."""
    with loading.engine(choice.settings, choice.model, "embed", choice.prompt_name) as engine:
        model, options, lanes = engine
        ranged = choice.dtype in dtypes.RANGED and choice.ranges == "model"
        options = replace(options, dimensions=choice.dimensions, ranged=ranged)
        model.embed_now(["a"], options)
        yield model, options, lanes


@contextlib.contextmanager
def _work(inputs: Inputs, choice: Choice) -> Iterator["_Embedding"]:
    with _engine(choice) as (model, options, lanes):
        yield _Embedding(model, options, lanes, _plan(inputs, model, options, choice))


def _plan(inputs: Inputs, model: Model, options: Options, choice: Choice) -> EmbedPlan:
    return EmbedPlan(
        **run.plan_fields(inputs, model),
        prompt=prompts.resolve(model.manifest, options),
        dimensions=options.dimensions or model.manifest.dense.dimensions,
        dtype=choice.dtype,
        ranges=choice.ranges,
        truncate=options.truncate,
        long_texts=UNSET if options.long_texts == "cut" else options.long_texts,
        literal_special_tokens=model.files.literal_special_tokens,
    )


class _Embedding:
    """The ``Work`` of vectors."""

    def __init__(self, model: Model, options: Options, lanes: int, plan: EmbedPlan) -> None:
        self.plan = plan
        self.lanes = lanes
        self._model = model
        self._options = options
        self._width = dtypes.width(plan.dtype, plan.dimensions)

    def writer(self, output: Path) -> Writer:
        """What writes an output.

        Raises:
            SetupError: It cannot keep the columns.
        """
        values = Values(name=writers.EMBEDDING, dtype=self.plan.dtype, width=self._width)
        return writers.writer(output, self.plan.inputs, values)

    def compute(self, block: Block) -> Result:
        """A block's vectors; a text that the model cannot take becomes a reject."""
        isolated = isolate.embed(self._model, self._model.embed_now, block.texts, self._options)
        return run.result(block, isolated.failures, isolated.outcome.vectors, isolated.outcome.tokens)

    def prepare(self, results: Iterator[Result], state: State) -> Iterator[Result]:
        """The same results, of int8 and uint8 once there are ranges: the artifact's, or of the first of them.

        Raises:
            SetupError: There is one vector in all.
        """
        if self.plan.dtype not in dtypes.RANGED or state.ranges is not None:
            return results
        if self.plan.ranges == "model":
            state.ranges = self._model.ranges(dimensions=self.plan.dimensions).tolist()
            return results
        return _calibrated(results, state)

    def stored(self, values: Vector, state: State) -> Stored:
        """Vectors of the dtype that is written."""
        dtype = self.plan.dtype
        if not len(values):  # and perhaps there are no ranges
            return np.empty((0, self._width), dtypes.NUMPY[dtype])
        ranges = None if state.ranges is None else np.array(state.ranges, np.float32)
        return dtypes.convert(values, dtype, ranges)

    def meta(self, state: State, fields: dict[str, Any]) -> EmbedMeta:
        """What the result says of itself."""
        return EmbedMeta(
            **fields,
            prompt=self.plan.prompt,
            dimensions=self.plan.dimensions,
            dtype=self.plan.dtype,
            ranges=state.ranges,
            calibration_rows=state.calibration_rows,
        )


def _calibrated(results: Iterator[Result], state: State) -> Iterator[Result]:
    """The same, once the ranges of int8 have been taken over the first of them that have vectors.

    Raises:
        SetupError: There is one vector in all.
    """
    sample: deque[Result] = deque()
    rows = 0
    for item in results:
        if not sample and not len(item.values):
            yield item
            continue
        sample.append(item)
        rows += len(item.values)
        if rows >= CALIBRATION_ROWS or len(sample) == CALIBRATION_BLOCKS:
            break
    if rows == 1:
        raise SetupError("int8 takes ranges over many texts, and there is one; choose another --dtype")
    if rows:
        state.ranges = dtypes.ranges(np.concatenate([item.values for item in sample])).tolist()
        state.calibration_rows = rows
    while sample:
        yield sample.popleft()
    yield from results
