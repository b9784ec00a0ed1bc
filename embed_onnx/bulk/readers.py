"""Texts out of files of any size: lines, JSON lines, CSV, Parquet; in order, in blocks, in bounded memory.

A record is a line of a text file or of JSON lines, a row of CSV below its header, or a row of Parquet. Every
record has an index, counted from 0 over all files in their order, and either a text or a reason why not.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from embed_onnx.bulk.inputs import FIELD, STANDARD_INPUT, Column, File, Inputs, Kind, stat
from embed_onnx.bulk.json_lines import open_json
from embed_onnx.bulk.lines import DAMAGED, Lines, open_file, open_lines
from embed_onnx.bulk.records import Record, Units, is_unicode
from embed_onnx.bulk.separated import open_rows
from embed_onnx.errors import SetupError

if TYPE_CHECKING:
    from types import ModuleType

BLOCK_RECORDS = 128
BLOCK_SIZE = 262_144
"""A block ends at so many records, or after the one that reaches so many characters or bytes."""


class Position(msgspec.Struct, frozen=True):
    """Where reading stands: the file, its records and all records before it.

    ``digest`` is that of the lines read from standard input, to know them again.
    """

    file: int = 0
    records: int = 0
    index: int = 0
    digest: str = ""


class Reject(msgspec.Struct, frozen=True):
    """A record that has no vector. ``line`` counts from 1; of Parquet, it is the row."""

    index: int
    file: str
    line: int
    reason: str


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Records of one file that follow each other.

    ``texts``, ``indexes``, ``lines`` and each of the ``columns`` have an item a text. ``read`` are the
    bytes of all files before the end of the block; None of standard input.
    """

    file: str
    texts: list[str]
    indexes: list[int]
    lines: list[int]
    columns: list[Column]
    rejects: list[Reject]
    after: Position
    read: int | None

    def without(self, reasons: dict[int, str]) -> "Block":
        """The same without the texts at those places, which become rejects."""
        kept = [place for place in range(len(self.texts)) if place not in reasons]
        more = [Reject(self.indexes[at], self.file, self.lines[at], why) for at, why in reasons.items()]
        return msgspec.structs.replace(
            self,
            texts=[self.texts[place] for place in kept],
            indexes=[self.indexes[place] for place in kept],
            lines=[self.lines[place] for place in kept],
            columns=[_take(column, kept) for column in self.columns],
            rejects=sorted([*self.rejects, *more], key=lambda reject: reject.index),
        )


def check(inputs: Inputs) -> None:
    """Look for the columns in every file but standard input, before a model is loaded.

    Raises:
        SetupError: One is absent, or a file cannot be read.
    """
    if inputs.kind == "txt":
        if inputs.columns or inputs.field != FIELD:
            raise SetupError("--field, --id and --keep name columns, and lines of text have none")
        return
    if inputs.kind == "parquet":
        parquet().check(inputs)
        return
    for file in inputs.files:
        if inputs.kind != "jsonl" and file.path != STANDARD_INPUT:
            try:
                with open_file(file) as (stream, _):
                    rows, _ = open_rows(Lines(stream, file, inputs.encoding), inputs)
                    next(rows, None)
            except DAMAGED as err:
                raise SetupError(f"{file.path} is damaged: {err}") from None


def blocks(inputs: Inputs, start: Position) -> Iterator[Block]:
    """Everything from a position on.

    Raises:
        SetupError: A file cannot be read, is damaged, or changes meanwhile; or standard input is another one.
    """
    before = sum(file.size for file in inputs.files[: start.file])
    position = start
    for number in range(start.file, len(inputs.files)):
        file = inputs.files[number]
        if number > start.file:
            position = Position(number, 0, position.index, position.digest)
        read = _parquet_blocks if inputs.kind == "parquet" else _line_blocks
        for block in read(inputs, file, position):
            position = block.after
            done = None if block.read is None else before + block.read
            yield msgspec.structs.replace(block, read=done)
        if file.path != STANDARD_INPUT and stat(file.path) != file:
            raise SetupError(f"{file.path} changed while it was read; begin again with --restart")
        before += file.size


def check_same(inputs: Inputs, end: Position) -> None:
    """Look whether standard input is what was read to its end before.

    Raises:
        SetupError: It is not.
    """
    if next(blocks(inputs, end), None) is not None:
        raise _another_input()


def parquet() -> "ModuleType":
    """The module that needs pyarrow.

    Raises:
        SetupError: It is not installed.
    """
    try:
        from embed_onnx.bulk import parquet as module  # noqa: PLC0415 - who has no Parquet needs no pyarrow
    except ModuleNotFoundError as err:
        if err.name != "pyarrow":
            raise
        raise SetupError("Parquet needs pyarrow; run `pip install 'embed-onnx[bulk]'`") from None
    return module


def _line_blocks(inputs: Inputs, file: File, start: Position) -> Iterator[Block]:
    with open_file(file) as (stream, raw):
        piped = file.path == STANDARD_INPUT
        lines = Lines(stream, file, inputs.encoding)
        try:
            units, record = OPEN[inputs.kind](lines, inputs)
            _skip(units, lines, start)
            for chunk in _chunks(map(record, units)):
                read = None if piped else raw.tell()
                after = Position(
                    start.file, start.records + len(chunk), start.index + len(chunk), lines.digest
                )
                yield _block(inputs, file, chunk, start, after, read)
                start = after
        except DAMAGED as err:
            raise SetupError(f"{file.path} is damaged after line {lines.number}: {err}") from None


def _skip(units: Iterator[Any], lines: Lines, start: Position) -> None:
    """Pass over the records that an earlier run has read."""
    passed = sum(1 for _ in itertools.islice(units, start.records))
    lines.cut = False
    if passed != start.records or (passed and lines.digest != start.digest):
        raise _another_input()


def _another_input() -> SetupError:
    return SetupError(
        "standard input is not what it was before; give the same again, or begin with --restart"
    )


def _chunks(records: Iterator[Record]) -> Iterator[list[Record]]:
    chunk: list[Record] = []
    size = 0
    for record in records:
        chunk.append(record)
        size += sum(
            len(value) for value in (record.text, *record.columns) if isinstance(value, str | msgspec.Raw)
        )
        if len(chunk) == BLOCK_RECORDS or size >= BLOCK_SIZE:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _block(
    inputs: Inputs, file: File, chunk: list[Record], start: Position, after: Position, read: int | None
) -> Block:
    good, rejects = [], []
    for index, record in enumerate(chunk, start=start.index):
        reason = record.reason or fault(record.text, inputs.label)
        if reason:
            rejects.append(Reject(index, file.path, record.line, reason))
        else:
            good.append((index, record))
    return Block(
        file=file.path,
        texts=[record.text for _, record in good],
        indexes=[index for index, _ in good],
        lines=[record.line for _, record in good],
        columns=[[record.columns[place] for _, record in good] for place in range(len(inputs.columns))],
        rejects=rejects,
        after=after,
        read=read,
    )


def fault(text: object, encoding: str = "UTF-8") -> str:
    """Why something is not a text to embed; empty if it is one. ``encoding`` is that of its file."""
    if text is None:
        return "the text is null"
    if isinstance(text, bytes):
        return f"the text is not valid {encoding}"
    if not isinstance(text, str):
        return f"the text is of type {type(text).__name__}, not a string"
    if not text:
        return "the text is empty"
    return "" if is_unicode(text) else f"the text is not valid {encoding}"


OPEN: dict[Kind, Callable[[Lines, Inputs], Units]] = {
    "txt": open_lines,
    "jsonl": open_json,
    "csv": open_rows,
    "tsv": open_rows,
}


def _parquet_blocks(inputs: Inputs, file: File, start: Position) -> Iterator[Block]:
    for texts, columns, share in parquet().read(file.path, inputs, start.records, BLOCK_RECORDS, BLOCK_SIZE):
        rows = len(texts)
        after = Position(start.file, start.records + rows, start.index + rows)
        whole = Block(
            file=file.path,
            texts=texts,
            indexes=list(range(start.index, after.index)),
            lines=list(range(start.records + 1, after.records + 1)),
            columns=columns,
            rejects=[],
            after=after,
            read=int(file.size * share),
        )
        reasons = {place: why for place, text in enumerate(texts) if (why := fault(text))}
        for name, column in zip(inputs.columns, columns, strict=True):
            why = f"the column {name!r}, which is kept, is not valid UTF-8"
            reasons |= dict.fromkeys(parquet().damaged(column), why)
        if inputs.id is not None:
            nulls = [place for place, known in enumerate(columns[0].is_valid().to_pylist()) if not known]
            reasons |= dict.fromkeys(nulls, f"the id, column {inputs.id!r}, is null")
        yield whole.without(reasons) if reasons else whole
        start = after


def _take(column: Column, places: list[int]) -> Column:
    return [column[at] for at in places] if isinstance(column, list) else parquet().take(column, places)
