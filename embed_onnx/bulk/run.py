"""What every run on files does, whatever it computes: files of any size into one file, without a server.

    reader -> blocks of records -> tokenized and computed, some blocks at a time -> writer and journal

Blocks come out in the order they went in. What is in memory is a fixed number of blocks.
"""

import contextlib
import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from embed_onnx import __version__, files
from embed_onnx.artifact import manifest
from embed_onnx.bulk import journal, readers, writers
from embed_onnx.bulk.blocks import Block, Reject
from embed_onnx.bulk.inputs import Inputs, belongs
from embed_onnx.bulk.journal import Plan, State
from embed_onnx.bulk.progress import Progress
from embed_onnx.bulk.stream import Stream
from embed_onnx.bulk.writers import Meta, Rows, Writer
from embed_onnx.errors import EmbedError, InferenceFailed, SetupError
from embed_onnx.models.model import Model
from embed_onnx.models.tokenizer import Tokens

BLOCKS_BESIDE = 4
"""Blocks in flight besides one a lane: enough to keep the lanes busy while others are written."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where the result goes: ``force`` overwrites one, ``restart`` throws away an unfinished run."""

    output: Path
    force: bool = False
    restart: bool = False


class Result(msgspec.Struct, frozen=True):
    """A block, without its texts, and what was computed of them: float32 [texts, width], or a list."""

    block: Block
    values: Any
    tokens: list[int]
    truncated: list[bool]


class Sink(Protocol):
    """Where rows go, and how far that is."""

    state: State

    def append(self, rows: list[bytes], rejects: list[Reject]) -> None:
        """Take rows, a part for each of the writer's files, and what was rejected among them."""


M = TypeVar("M", bound=Meta)
M_co = TypeVar("M_co", bound=Meta, covariant=True)


class Work(Protocol[M_co]):
    """What a run computes of its blocks, by a model that is loaded."""

    @property
    def plan(self) -> Plan:
        """All that decides what the result holds."""

    @property
    def lanes(self) -> int:
        """Sequences that are computed at the same time."""

    def writer(self, output: Path) -> Writer:
        """What writes an output.

        Raises:
            SetupError: It cannot keep the columns.
        """

    def compute(self, block: Block) -> Result:
        """The values of a block; a text that the model cannot take becomes a reject."""

    def prepare(self, results: Iterator[Result], state: State) -> Iterator[Result]:
        """The same results, once the state has what must be known before the first is written."""

    def stored(self, values: Any, state: State) -> Any:
        """Values as they are written."""

    def meta(self, state: State, fields: dict[str, Any]) -> M_co:
        """What the result says of itself; ``fields`` are those of a ``Meta``."""


class Immediate:
    """The part of a ``Work`` whose values are written as they were computed, without waiting for others."""

    def prepare(self, results: Iterator[Result], state: State) -> Iterator[Result]:
        """The same results."""
        del state
        return results

    def stored(self, values: Any, state: State) -> Any:
        """The same values."""
        del state
        return values


def run(
    inputs: Inputs, target: Target, opened: contextlib.AbstractContextManager[Work[M]], kind: type[M]
) -> M:
    """Compute files into one, from where an earlier run of the same command stopped; say what came of it.

    Standard output takes JSON lines, and keeps nothing to continue from. The model is loaded by entering
    ``opened``, once the files have been looked at.

    Raises:
        SetupError: The model's artifact, a file or a column is not there, or the output holds something else.
        InvalidRequest: An option is wrong.
    """
    output = target.output
    if output == writers.STDOUT:
        return _stream(inputs, target, opened)
    _check_output(inputs, output)
    readers.check(inputs)
    with opened as work:
        plan, writer = work.plan, work.writer(output)
        if output.exists() and not target.force:
            meta = _complete(output, plan, kind)
            if meta is not None:
                return meta
        with journal.at(output, plan, writer, restart=target.restart) as run:
            if run.state.finished is None:
                _run(work, run, writer)
            elif not journal.same_each_time(plan):
                readers.check_same(inputs, run.state.position)
            meta = work.meta(run.state, _meta_fields(run.state, plan))
            run.finish(meta)
            return meta


def _stream(inputs: Inputs, target: Target, opened: contextlib.AbstractContextManager[Work[M]]) -> M:
    if target.force or target.restart:
        raise SetupError("--force and --restart are for files; leave them out, or name a file with --output")
    readers.check(inputs)
    with opened as work:
        stream = Stream()
        _run(work, stream, work.writer(target.output))
        return work.meta(stream.state, _meta_fields(stream.state, work.plan))


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


def plan_fields(inputs: Inputs, model: Model) -> dict[str, Any]:
    """The fields of a ``Plan``."""
    described = model.manifest
    return {
        "inputs": inputs,
        "model": described.name,
        "repo": described.source.repo,
        "revision": described.source.revision,
        "artifact": described.sha256[manifest.MODEL],
        "manifest": described.sha256[manifest.MANIFEST],
        "precision": described.precision,
        "runs_on": model.kernels.runs_on,
    }


def result(
    block: Block, failures: dict[int, EmbedError], values: Any, tokens: list[Tokens], noun: str = "text"
) -> Result:
    """What was computed of a block, whose items of these places have failed; a ``noun`` is an item."""
    reasons = {place: _reason(err, noun) for place, err in failures.items()}
    return Result(
        msgspec.structs.replace(block.without(reasons), texts=[]),
        values,
        [item.num_tokens for item in tokens],
        [item.truncated for item in tokens],
    )


def _reason(err: EmbedError, noun: str) -> str:
    """Why an item was rejected."""
    if isinstance(err, InferenceFailed):
        return f"the model failed on the {noun}: {err}"
    return str(err).partition(";")[0].replace("input[0]", f"the {noun}")


def _digest(plan: Plan) -> str:
    return hashlib.sha256(msgspec.json.encode(plan)).hexdigest()


def _meta_fields(state: State, plan: Plan) -> dict[str, Any]:
    same = ("model", "repo", "revision", "artifact", "precision", "runs_on")
    counts = ("rows", "rejected", "truncated", "tokens")
    return {
        "embed_onnx": __version__,
        "plan": _digest(plan),
        **{name: getattr(plan, name) for name in same},
        **{name: getattr(state, name) for name in counts},
    }


def _complete(output: Path, plan: Plan, kind: type[M]) -> M | None:
    """What a finished output of the same plan says of itself; None if only its last steps are missing.

    Raises:
        SetupError: The output is something else.
    """
    state = journal.read_state(output)
    if state is not None and state.finished is not None:
        return None
    meta = writers.meta_of(output, kind)
    if meta is None or meta.plan != _digest(plan) or not journal.same_each_time(plan):
        raise SetupError(f"{output} exists; --force overwrites it, or choose another --output")
    journal.tidy(output)
    return meta


def _run(work: Work[Any], run: Sink, writer: Writer) -> None:
    """Compute and write all that is left."""
    results = work.prepare(_computed(work, run), run.state)
    with Progress(work.plan.inputs.size, done=run.state.rows) as progress:
        for item in results:
            _write(item, run, writer, work)
            progress.add(len(item.tokens), sum(item.tokens), item.block.read)


def _computed(work: Work[Any], run: Sink) -> Iterator[Result]:
    """All blocks from where a run is, computed, in order; so many are in flight that no lane idles."""
    blocks = work.lanes + BLOCKS_BESIDE
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(blocks, thread_name_prefix="bulk")
    try:
        for block in readers.blocks(work.plan.inputs, run.state.position):
            waiting.append(pool.submit(work.compute, block))
            if len(waiting) == blocks:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # what runs ends with the engine


def _write(item: Result, run: Sink, writer: Writer, work: Work[Any]) -> None:
    block, state = item.block, run.state
    rows = Rows(
        indexes=block.indexes,
        columns=block.columns,
        tokens=item.tokens,
        truncated=item.truncated,
        values=work.stored(item.values, state),
    )
    state.position = block.after
    state.rows += len(item.tokens)
    state.rejected += len(block.rejects)
    state.truncated += sum(item.truncated)
    state.tokens += sum(item.tokens)
    run.append(writer.encode(rows), block.rejects)
