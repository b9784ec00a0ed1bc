"""Texts out of files of any size and format, in order, in blocks, in bounded memory; from any position on."""

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from embed_onnx import install
from embed_onnx.bulk.blocks import BLOCK_RECORDS, BLOCK_SIZE, Block, Position, Record, Reject, fault
from embed_onnx.bulk.formats.csv import open_rows
from embed_onnx.bulk.formats.json import open_json
from embed_onnx.bulk.formats.lines import DAMAGED, Lines, Units, open_file, open_lines
from embed_onnx.bulk.inputs import FIELD, STANDARD_INPUT, File, Inputs, Kind, stat
from embed_onnx.errors import SetupError

if TYPE_CHECKING:
    from types import ModuleType

LINE_FORMATS: dict[Kind, Callable[[Lines, Inputs], Units]] = {
    "txt": open_lines,
    "jsonl": open_json,
    "csv": open_rows,
    "tsv": open_rows,
}
"""The formats of lines; Parquet is the other kind."""


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
        read = parquet().blocks if inputs.kind == "parquet" else _line_blocks
        for block in read(inputs, file, position):
            position = block.after
            done = None if block.read is None else before + block.read
            yield msgspec.structs.replace(block, read=done)
        if file.path != STANDARD_INPUT and stat(file.path) != file:
            raise SetupError(f"{file.path} changed while it was read; start again with --restart")
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
        from embed_onnx.bulk.formats import parquet as module  # noqa: PLC0415 - other formats need no pyarrow
    except ModuleNotFoundError as err:
        if err.name != "pyarrow":
            raise
        raise SetupError(f"Parquet needs pyarrow; run `{install.command('bulk')}`") from None
    return module


def _line_blocks(inputs: Inputs, file: File, start: Position) -> Iterator[Block]:
    with open_file(file) as (stream, raw):
        piped = file.path == STANDARD_INPUT
        lines = Lines(stream, file, inputs.encoding)
        try:
            units, record = LINE_FORMATS[inputs.kind](lines, inputs)
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
        "standard input is not what it was before; give the same again, or start again with --restart"
    )


def _chunks(records: Iterator[Record]) -> Iterator[list[Record]]:
    chunk: list[Record] = []
    size = 0
    for record in records:
        chunk.append(record)
        texts = record.text if isinstance(record.text, tuple) else (record.text,)
        size += sum(len(value) for value in (*texts, *record.columns) if isinstance(value, str | msgspec.Raw))
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
