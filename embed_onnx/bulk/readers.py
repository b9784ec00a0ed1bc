"""Texts out of files of any size: lines, JSON lines, CSV, Parquet; in order, in blocks, in bounded memory.

A record is a line of a text file or of JSON lines, a row of CSV below its header, or a row of Parquet. Every
record has an index, counted from 0 over all files in their order, and either a text or a reason why not.
"""

import csv
import gzip
import hashlib
import itertools
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, NamedTuple

import msgspec

from embed_onnx.bulk.inputs import FIELD, STANDARD_INPUT, Column, File, Inputs, Kind, stat
from embed_onnx.errors import SetupError

if TYPE_CHECKING:
    from types import ModuleType

BLOCK_RECORDS = 128
BLOCK_SIZE = 262_144
"""A block ends at so many records, or after the one that reaches so many characters or bytes."""
DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)
"""What a .gz file may raise."""
LINE_BYTES = 16 * 1024 * 1024
"""A longer line is no record: it must not fill the memory."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
OTHER_MARKS = (b"\xff\xfe", b"\xfe\xff")
"""Of UTF-16 and UTF-32, whose lines are no lines of bytes."""


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


class _Record(NamedTuple):
    """``text`` is whatever was found in its place; with a reason, there is nothing to look at."""

    line: int
    text: Any
    columns: Sequence[Any] = ()
    reason: str = ""


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
                with _open(file) as (stream, _):
                    _header(_csv_reader(_CsvLines(_Lines(stream, file)), inputs), inputs, file.path)
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


Units = tuple[Iterator[Any], Callable[[Any], _Record]]
"""What makes up the records of a file, which can be passed over, and how one becomes a record."""


@contextmanager
def _open(file: File) -> Iterator[tuple[Any, BinaryIO]]:
    """A stream of bytes, decompressed, and the file that it reads from."""
    if file.path == STANDARD_INPUT:
        yield sys.stdin.buffer, sys.stdin.buffer
        return
    with Path(file.path).open("rb") as raw:
        if not file.path.endswith(".gz"):
            yield raw, raw
            return
        with gzip.open(raw) as stream:
            yield stream, raw


class _Lines:
    """Lines of a stream with their ends. Of one that is too long only the start is given, and ``cut`` set."""

    def __init__(self, stream: IO[bytes], file: File) -> None:
        self.path = file.path
        self.number = 0
        """Of the line that was given last."""
        self.cut = False
        """Whether any was too long; whoever has looked takes it back."""
        self.quotes = 0
        """In what was left out of the line that was given last."""
        self._stream = stream
        self._digest = hashlib.blake2b(digest_size=16) if file.path == STANDARD_INPUT else None

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> bytes:
        line = self._read()
        if not line:
            raise StopIteration
        self.number += 1
        if self.number == 1 and line.startswith(OTHER_MARKS):
            raise SetupError(f"{self.path} is UTF-16 or UTF-32; convert it to UTF-8, with iconv for example")
        self.quotes = 0
        piece = line
        while len(piece) == LINE_BYTES and not piece.endswith(b"\n"):
            self.cut = True
            piece = self._read()
            self.quotes += piece.count(b'"')
        return line.removeprefix(BYTE_ORDER_MARK) if self.number == 1 else line

    @property
    def digest(self) -> str:
        """Of all that was given."""
        return self._digest.hexdigest() if self._digest else ""

    def _read(self) -> bytes:
        piece = self._stream.readline(LINE_BYTES)
        if self._digest:
            self._digest.update(piece)
        return piece


def _line_blocks(inputs: Inputs, file: File, start: Position) -> Iterator[Block]:
    with _open(file) as (stream, raw):
        piped = file.path == STANDARD_INPUT
        lines = _Lines(stream, file)
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


def _skip(units: Iterator[Any], lines: _Lines, start: Position) -> None:
    """Pass over the records that an earlier run has read."""
    passed = sum(1 for _ in itertools.islice(units, start.records))
    lines.cut = False
    if passed != start.records or (passed and lines.digest != start.digest):
        raise _another_input()


def _another_input() -> SetupError:
    return SetupError(
        "standard input is not what it was before; give the same again, or begin with --restart"
    )


def _chunks(records: Iterator[_Record]) -> Iterator[list[_Record]]:
    chunk: list[_Record] = []
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
    inputs: Inputs, file: File, chunk: list[_Record], start: Position, after: Position, read: int | None
) -> Block:
    good, rejects = [], []
    for index, record in enumerate(chunk, start=start.index):
        reason = record.reason or fault(record.text)
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


def fault(text: object) -> str:
    """Why something is no text to embed; empty if it is one."""
    if text is None:
        return "the text is null"
    if isinstance(text, bytes):
        return "the text is not valid UTF-8"
    if not isinstance(text, str):
        return f"the text is of type {type(text).__name__}, not a string"
    if not text:
        return "the text is empty"
    return "" if _is_unicode(text) else "the text is not valid UTF-8"


def _is_unicode(text: str) -> bool:
    """Whether it holds no lone surrogate, which stands for a byte that is not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _open_lines(lines: _Lines, _: Inputs) -> Units:
    def record(line: bytes) -> _Record:
        text, reason = _decode(line, lines)
        return _Record(lines.number, text, reason=reason)

    return lines, record


def _open_json(lines: _Lines, inputs: Inputs) -> Units:
    """Only the fields that are wanted are decoded; those that are kept stay as they are written."""
    names = list(dict.fromkeys([inputs.field, *inputs.columns]))  # the text may be kept, too
    places = [names.index(name) for name in inputs.columns]
    fields: list[tuple[str, Any, Any]] = [("f0", Any, msgspec.UNSET)]
    fields += [(f"f{number}", msgspec.Raw, msgspec.UNSET) for number in range(1, len(names))]
    rename = {field[0]: name for field, name in zip(fields, names, strict=True)}
    try:
        decoder = msgspec.json.Decoder(msgspec.defstruct("Line", fields, rename=rename))
    except ValueError as err:  # of quotes and backslashes
        raise SetupError(f"--field, --id and --keep name {', '.join(names)}: {err}") from None

    def record(line: bytes) -> _Record:
        text, reason = _decode(line, lines)
        if reason:
            return _Record(lines.number, None, reason=reason)
        return _json_record(decoder, text, lines.number, inputs, places)

    return lines, record


def _decode(line: bytes, lines: _Lines) -> tuple[str, str]:
    """A line without its end, and what is wrong with it."""
    if lines.cut:
        lines.cut = False
        return "", f"the line is longer than {LINE_BYTES:,} bytes"
    try:
        text = line.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as err:
        return "", f"the line is not valid UTF-8 (byte {err.start + 1})"
    return text, "" if text else "the line is empty"


def _json_record(decoder: Any, line: str, number: int, inputs: Inputs, places: list[int]) -> _Record:
    try:
        values = msgspec.structs.astuple(decoder.decode(line))
    except msgspec.ValidationError:
        return _Record(number, None, reason="the line is JSON and not an object")
    except (ValueError, RecursionError) as err:
        return _Record(number, None, reason=f"the line is not valid JSON: {err}")
    if values[0] is msgspec.UNSET:
        return _Record(number, None, reason=f"there is no field {inputs.field!r}")
    kept = [_kept(values[place]) for place in places]
    if inputs.id is not None and kept[0] is None:
        return _Record(number, None, reason=f"the id, field {inputs.id!r}, is missing or null")
    return _Record(number, values[0], kept)


def _kept(value: Any) -> Any:
    """The text itself, or another field as it is written; None if it is absent or null."""
    if not isinstance(value, msgspec.Raw):
        return None if value is msgspec.UNSET else value
    return None if bytes(value) == b"null" else value.copy()  # without the rest of its line


class _CsvLines:
    """Lines of CSV as strings; a row with one that is too long is an error."""

    def __init__(self, lines: _Lines) -> None:
        self.open = False
        """Whether a quote is, after the lines of a row so far; whoever begins a row takes it back."""
        self._lines = lines

    def __iter__(self) -> "_CsvLines":
        return self

    def __next__(self) -> str:
        line = self._next()
        if self._lines.cut:
            self._lines.cut = False
            while self.open:  # to the end of the row
                self._next()
            raise csv.Error(f"a line is longer than {LINE_BYTES:,} bytes")
        # Bytes that are not UTF-8 become lone surrogates, which are found where they matter.
        return line.decode("utf-8", "surrogateescape")

    def _next(self) -> bytes:
        line = next(self._lines)
        self.open ^= bool((line.count(b'"') + self._lines.quotes) % 2)
        return line


def _csv_reader(lines: _CsvLines, inputs: Inputs) -> Iterator[list[str]]:
    csv.field_size_limit(LINE_BYTES)
    return csv.reader(lines, delimiter="\t" if inputs.kind == "tsv" else ",", strict=True)


def _header(rows: Iterator[list[str]], inputs: Inputs, path: str) -> tuple[int, list[int]]:
    """The number of columns, and the places of those that are wanted, the text first."""
    try:
        names = next(rows, [])
    except csv.Error as err:
        raise SetupError(f"{path}: the header is not valid CSV: {err}") from None
    for name in (inputs.field, *inputs.columns):
        if names.count(name) != 1:
            raise SetupError(
                f"{path} has {names.count(name)} columns {name!r} and must have one; its header is "
                f"{', '.join(names)[:200]}; name the column of the texts with --field"
            )
    return len(names), [names.index(name) for name in (inputs.field, *inputs.columns)]


def _open_csv(lines: _Lines, inputs: Inputs) -> Units:
    text_lines = _CsvLines(lines)
    rows = _csv_reader(text_lines, inputs)
    width, places = _header(rows, inputs, lines.path)

    def record(row: _Record) -> _Record:
        if row.reason:
            return row
        text, *columns = (row.text[place] for place in places)
        reason = "" if all(map(_is_unicode, columns)) else "a column that is kept is not valid UTF-8"
        return _Record(row.line, text, columns, reason)

    return _rows(rows, lines, text_lines, width), record


def _rows(rows: Iterator[list[str]], lines: _Lines, text_lines: _CsvLines, width: int) -> Iterator[_Record]:
    """Rows as lists of fields, or the reason why there is none."""
    while True:
        text_lines.open = False
        line, reason, row = lines.number + 1, "", []
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as err:
            reason = f"the row, up to line {lines.number}, is not valid CSV: {err}"
        if not reason and len(row) != width:
            reason = f"the row has {len(row)} columns and the header {width}" if row else "the line is empty"
        yield _Record(line, None if reason else row, reason=reason)


OPEN: dict[Kind, Callable[[_Lines, Inputs], Units]] = {
    "txt": _open_lines,
    "jsonl": _open_json,
    "csv": _open_csv,
    "tsv": _open_csv,
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
