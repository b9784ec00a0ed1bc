"""Embedding without a server: files of any size into one file, or a few texts as JSON lines.

    reader -> blocks of records -> tokenized and embedded, some blocks at a time -> writer and journal

Blocks come out in the order they went in. What is in memory is a fixed number of blocks.
"""

import contextlib
import hashlib
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np

from embed_onnx import __version__, files
from embed_onnx.artifact import manifest
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.bulk import journal, readers, writers
from embed_onnx.bulk.blocks import Block, fault
from embed_onnx.bulk.inputs import Inputs, belongs
from embed_onnx.bulk.journal import Journal, Plan
from embed_onnx.bulk.progress import Progress
from embed_onnx.bulk.writers import Meta, Rows, Writer
from embed_onnx.engine import dtypes
from embed_onnx.engine.dtypes import DType
from embed_onnx.engine.vectors import Vector
from embed_onnx.errors import EmbedError, InferenceFailed, SetupError
from embed_onnx.models import isolate, prompts, registry
from embed_onnx.models.model import Model
from embed_onnx.models.options import Options
from embed_onnx.settings import Settings

CALIBRATION_ROWS = 4096
"""Rows, of the first, over which the ranges of int8 are taken."""
CALIBRATION_BLOCKS = 1024
"""Blocks to look for them in, so that a file of bad records does not fill the memory."""
BLOCKS_BESIDE = 4
"""Blocks in flight besides one a lane: enough to keep the lanes busy while others are written."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Which model, and how."""

    settings: Settings
    model: str | None = None
    prompt_name: str | None = None
    dimensions: int | None = None
    dtype: DType = "float32"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where the result goes: ``force`` overwrites one, ``restart`` throws away an unfinished run."""

    output: Path
    force: bool = False
    restart: bool = False


class _Result(msgspec.Struct, frozen=True):
    """A block, without its texts, and its vectors, float32 [texts, dimensions]."""

    block: Block
    vectors: Vector
    tokens: list[int]
    truncated: list[bool]


class _Engine(msgspec.Struct, frozen=True):
    """A model that is loaded, and how it is asked."""

    model: Model
    options: Options
    lanes: int


def embed_texts(texts: Sequence[str], choice: Choice) -> None:
    """Embed a few texts, in order, as JSON lines on standard output.

    Raises:
        SetupError: The model's artifact is not there, a text is empty, or the dtype is int8.
        InvalidRequest: A text or an option is wrong.
    """
    if choice.dtype == "int8":
        raise SetupError("int8 takes ranges over many texts; embed a file, or choose another --dtype")
    for number, text in enumerate(texts, start=1):
        if reason := fault(text):
            raise SetupError(f"text {number}: {reason}; leave it out")
    with _engine(choice) as engine:
        result = engine.model.embed_now(texts, engine.options)
    writer = writers.json_lines(Inputs(files=(), kind="txt"))
    rows = Rows(
        indexes=range(len(texts)),
        columns=[],
        tokens=[item.num_tokens for item in result.tokens],
        truncated=[item.truncated for item in result.tokens],
        vectors=dtypes.convert(result.vectors, choice.dtype),
    )
    sys.stdout.buffer.writelines(writer.encode(rows))


def embed_files(inputs: Inputs, target: Target, choice: Choice) -> Meta:
    """Embed files into one, from where an earlier run of the same command stopped; say what came of it.

    Raises:
        SetupError: The model's artifact, a file or a column is not there, or the output holds something else.
        InvalidRequest: An option is wrong.
    """
    output = target.output
    _check_output(inputs, output)
    readers.check(inputs)
    with _engine(choice) as engine:
        plan = _plan(inputs, engine, choice.dtype)
        writer = writers.writer(output, inputs, choice.dtype, plan.dimensions)
        if output.exists() and not target.force:
            meta = _complete(output, plan)
            if meta is not None:
                return meta
        with journal.at(output, plan, writer, restart=target.restart) as run:
            if run.state.finished is None:
                _run(engine, run, writer, plan)
            elif not journal.same_each_time(plan):
                readers.check_same(inputs, run.state.position)
            meta = _meta(run, plan)
            run.finish(meta)
            return meta


def _check_output(inputs: Inputs, output: Path) -> None:
    """Refuse before anything is loaded."""
    if output.suffix not in writers.suffixes():
        raise SetupError(f"--output {output}: the name must end in {', '.join(writers.suffixes())}")
    if output.suffix == ".parquet":
        readers.parquet()
    folder = files.real(output).parent
    if not folder.is_dir():
        raise SetupError(f"--output {output}: there is no folder {folder}; make it first")
    for file in inputs.files:
        if belongs(file.path, output):
            raise SetupError(f"{file.path} belongs to the output {output}; give inputs apart from it")


@contextlib.contextmanager
def _engine(choice: Choice) -> Iterator[_Engine]:
    """The model of a choice, loaded; its options have been tried."""
    settings = msgspec.structs.replace(choice.settings, queue_tokens=sys.maxsize)
    entries = _entries(registry.entries_to_serve(settings), choice.model)
    with registry.Registry(entries, settings) as models:
        models.load()
        with models.use(choice.model, "embed") as (model, prompt_name):
            options = Options(
                prompt_name=prompt_name if choice.prompt_name is None else choice.prompt_name,
                dimensions=choice.dimensions,
                truncate=settings.truncate,
            )
            model.embed_now(["a"], options)
            yield _Engine(model, options, models.scheduler.lanes)


def _entries(entries: list[Entry], name: str | None) -> list[Entry]:
    """The entry of that name, so that no other is loaded; all, if none has it."""
    if name is None:
        return entries[:1]
    for variant in (name, name.rpartition(":")[0]):
        matches = [entry for entry in entries if variant in (entry.name, *entry.aliases)]
        matches = matches or [entry for entry in entries if variant in entry.names()]
        if matches:
            return matches[:1]
    return entries


def _plan(inputs: Inputs, engine: _Engine, dtype: DType) -> Plan:
    described, options = engine.model.manifest, engine.options
    return Plan(
        inputs=inputs,
        model=described.name,
        repo=described.source.repo,
        revision=described.source.revision,
        artifact=described.sha256[manifest.MODEL],
        manifest=described.sha256[manifest.MANIFEST],
        precision=described.precision,
        runs_on=engine.model.kernels.runs_on,
        prompt=prompts.resolve(described, options),
        dimensions=options.dimensions or described.dense.dimensions,
        dtype=dtype,
        truncate=options.truncate,
        literal_special_tokens=engine.model.files.literal_special_tokens,
    )


def _digest(plan: Plan) -> str:
    return hashlib.sha256(msgspec.json.encode(plan)).hexdigest()


def _meta(run: Journal, plan: Plan) -> Meta:
    state = run.state
    same = ("model", "repo", "revision", "artifact", "precision", "runs_on", "prompt", "dimensions", "dtype")
    counts = ("rows", "rejected", "truncated", "tokens", "ranges", "calibration_rows")
    return Meta(
        embed_onnx=__version__,
        plan=_digest(plan),
        **{name: getattr(plan, name) for name in same},
        **{name: getattr(state, name) for name in counts},
    )


def _complete(output: Path, plan: Plan) -> Meta | None:
    """What a finished output of the same plan says of itself; None if only its last steps are missing.

    Raises:
        SetupError: The output is something else.
    """
    state = journal.read_state(output)
    if state is not None and state.finished is not None:
        return None
    meta = writers.meta_of(output)
    if meta is None or meta.plan != _digest(plan) or not journal.same_each_time(plan):
        raise SetupError(f"{output} exists; --force overwrites it, or choose another --output")
    journal.tidy(output)
    return meta


def _run(engine: _Engine, run: Journal, writer: Writer, plan: Plan) -> None:
    """Embed and write all that is left."""
    blocks = _embedded(engine, plan.inputs, run)
    if plan.dtype == "int8" and run.state.ranges is None:
        blocks = _calibrated(blocks, run)
    with Progress(plan.inputs.size, done=run.state.rows) as progress:
        for item in blocks:
            _write(item, run, writer, plan)
            progress.add(len(item.tokens), sum(item.tokens), item.block.read)


def _embedded(engine: _Engine, inputs: Inputs, run: Journal) -> Iterator[_Result]:
    """All blocks from where a run is, embedded, in order; so many are in flight that no lane idles."""
    blocks = engine.lanes + BLOCKS_BESIDE
    waiting: deque[Future[_Result]] = deque()
    pool = ThreadPoolExecutor(blocks, thread_name_prefix="embed")
    try:
        for block in readers.blocks(inputs, run.state.position):
            waiting.append(pool.submit(_embed, engine, block))
            if len(waiting) == blocks:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # what runs ends with the engine


def _embed(engine: _Engine, block: Block) -> _Result:
    """A block's vectors; a text that the model cannot take becomes a reject."""
    isolated = isolate.embed(engine.model, block.texts, engine.options)
    reasons = {place: _reason(err) for place, err in isolated.failures.items()}
    without = msgspec.structs.replace(block.without(reasons), texts=[])
    embedded = isolated.embedded
    tokens = [item.num_tokens for item in embedded.tokens]
    return _Result(without, embedded.vectors, tokens, [item.truncated for item in embedded.tokens])


def _reason(err: EmbedError) -> str:
    """Why a text was rejected."""
    if isinstance(err, InferenceFailed):
        return f"the model failed on the text: {err}"
    return str(err).partition(";")[0].replace("input[0]", "the text")


def _calibrated(blocks: Iterator[_Result], run: Journal) -> Iterator[_Result]:
    """The same, once the ranges of int8 have been taken over the first of them that have vectors.

    Raises:
        SetupError: There is one vector in all.
    """
    sample: deque[_Result] = deque()
    rows = 0
    for item in blocks:
        if not sample and not len(item.vectors):
            yield item
            continue
        sample.append(item)
        rows += len(item.vectors)
        if rows >= CALIBRATION_ROWS or len(sample) == CALIBRATION_BLOCKS:
            break
    if rows == 1:
        raise SetupError("int8 takes ranges over many texts, and there is one; choose another --dtype")
    if rows:
        run.state.ranges = dtypes.ranges(np.concatenate([item.vectors for item in sample])).tolist()
        run.state.calibration_rows = rows
    while sample:
        yield sample.popleft()
    yield from blocks


def _write(item: _Result, run: Journal, writer: Writer, plan: Plan) -> None:
    block, state = item.block, run.state
    rows = Rows(
        indexes=block.indexes,
        columns=block.columns,
        tokens=item.tokens,
        truncated=item.truncated,
        vectors=_stored(item.vectors, state.ranges, plan),
    )
    state.position = block.after
    state.rows += len(item.tokens)
    state.rejected += len(block.rejects)
    state.truncated += sum(item.truncated)
    state.tokens += sum(item.tokens)
    run.append(writer.encode(rows), block.rejects)


def _stored(vectors: Vector, ranges: list[list[float]] | None, plan: Plan) -> dtypes.Stored:
    if not len(vectors):  # and perhaps there are no ranges
        return np.empty((0, dtypes.width(plan.dtype, plan.dimensions)), dtypes.NUMPY[plan.dtype])
    return dtypes.convert(vectors, plan.dtype, None if ranges is None else np.array(ranges, np.float32))
