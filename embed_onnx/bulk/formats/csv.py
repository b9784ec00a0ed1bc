"""CSV and TSV: rows of fields that a delimiter parts, below a header or without one.

CSV is RFC 4180's: a field in quotes may hold delimiters, line ends, and quotes that are doubled. TSV is
text/tab-separated-values of IANA: a line is a record, and a quote is a character like any other.
"""

import csv
from collections.abc import Iterator
from typing import NoReturn

from embed_onnx.bulk.blocks import Record, is_unicode, item
from embed_onnx.bulk.formats import lines as text_lines
from embed_onnx.bulk.formats.lines import Lines, Units
from embed_onnx.bulk.inputs import Inputs
from embed_onnx.errors import SetupError

OTHER_DELIMITERS = {";": "';'", "\t": "tab", "|": "'|'"}
"""What parts the columns of some files called CSV, such as Excel's where the comma is the decimal point; as
``--delimiter`` takes it."""


def open_rows(lines: Lines, inputs: Inputs) -> Units:
    """A record a row; the header is read at once.

    Raises:
        SetupError: A column is not there, or the delimiter is another one.
    """
    rows = _TsvRows(lines, inputs.separator) if inputs.kind == "tsv" else _CsvRows(lines, inputs.separator)
    table = _Table(rows, inputs, lines.path)

    def record(row: Record) -> Record:
        if row.reason:
            return row
        values = [row.text[place] for place in table.places]
        texts, columns = values[: len(inputs.fields)], values[len(inputs.fields) :]
        reason = "" if all(map(is_unicode, columns)) else f"a column that is kept is not valid {inputs.label}"
        return Record(row.line, item(*texts), columns, reason)

    return table, record


class _TsvRows:
    """Rows of TSV, as records of lists of fields; with a reason where a line is not a row."""

    def __init__(self, lines: Lines, delimiter: str) -> None:
        self._lines = lines
        self._delimiter = delimiter

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        # Bytes that are not UTF-8 become lone surrogates, which are noticed where they matter.
        text, reason = self._lines.decode(next(self._lines), "surrogateescape")
        return Record(self._lines.number, None if reason else text.split(self._delimiter), reason=reason)


class _CsvRows:
    """The same of CSV, whose rows may have several lines."""

    def __init__(self, lines: Lines, delimiter: str) -> None:
        csv.field_size_limit(text_lines.LINE_BYTES)
        self._lines = lines
        self._text = _CsvLines(lines)
        self._reader = csv.reader(self._text, delimiter=delimiter, strict=True)

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        self._text.open = False
        line = self._lines.number + 1
        try:
            row = next(self._reader)
        except csv.Error as err:
            # The module's own sentence is advice to programmers.
            fault = "a carriage return outside quotes" if "new-line character" in str(err) else err
            return Record(
                line, None, reason=f"the row, up to line {self._lines.number}, is not valid CSV: {fault}"
            )
        return Record(line, row or None, reason="" if row else "the line is empty")


class _CsvLines:
    """Lines of CSV as strings; a row with one that is too long is an error."""

    def __init__(self, lines: Lines) -> None:
        self.open = False
        """Whether a quote is, after the lines of a row so far; a reader that begins a row resets it."""
        self._lines = lines

    def __iter__(self) -> "_CsvLines":
        return self

    def __next__(self) -> str:
        line = self._next()
        if self._lines.cut:
            self._lines.cut = False
            while self.open:  # to the end of the row
                self._next()
            raise csv.Error(f"a line is longer than {text_lines.LINE_BYTES:,} bytes")
        return line.decode("utf-8", "surrogateescape")

    def _next(self) -> bytes:
        line = next(self._lines)
        self.open ^= bool((line.count(b'"') + self._lines.quotes) % 2)
        return line


class _Table:
    """The rows below the header, all of its width; all rows where there is none, of the width of the first.

    ``places`` are those of the columns that the options name, those of texts first.
    """

    def __init__(self, rows: Iterator[Record], inputs: Inputs, path: str) -> None:
        self._rows = rows
        self._inputs = inputs
        self._path = path
        self._width: int | None = None
        names = (*inputs.fields, *inputs.columns)
        if inputs.header:
            self.places = self._read_header(names)
        else:
            self.places = [int(name) - 1 for name in names]

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        row = next(self._rows)
        if row.reason:
            return row
        if self._width is None:
            self._begin(row.text)
        if len(row.text) == self._width:
            return row
        model = "header" if self._inputs.header else "first row"
        return Record(
            row.line, None, reason=f"the row has {len(row.text)} columns and the {model} {self._width}"
        )

    def _read_header(self, names: tuple[str, ...]) -> list[int]:
        first = next(self._rows, None)
        if first is None:
            raise SetupError(f"{self._path} is empty, and has not even a header; leave it out")
        if first.reason not in ("", "the line is empty"):
            raise SetupError(f"{self._path}: the header cannot be read: {first.reason}")
        header = first.text or []
        self._width = len(header)
        for name in names:
            if header.count(name) != 1:
                self._check_delimiter(header)
                self._refuse_header(header, name)
        return [header.index(name) for name in names]

    def _begin(self, row: list[str]) -> None:
        """Take the width of the first row, where there is no header."""
        self._check_delimiter(row)
        self._width = len(row)
        if max(self.places) >= len(row):
            raise SetupError(
                f"{self._path} has {len(row)} columns in its first row, and none of the number "
                f"{max(self.places) + 1}; {self._inputs.options} count columns from 1"
            )

    def _check_delimiter(self, row: list[str]) -> None:
        """Refuse a file of one column whose first row holds another delimiter, unless one was named."""
        other = next((sign for sign in OTHER_DELIMITERS if sign in "".join(row)), None)
        if self._inputs.delimiter is None and len(row) == 1 and other is not None:
            raise SetupError(
                f"{self._path} has no {_name(self._inputs.separator)} in its first line, but "
                f"{_name(other)}; say with --delimiter which of them is between its columns, such as "
                f"--delimiter {OTHER_DELIMITERS[other]}"
            )

    def _refuse_header(self, header: list[str], name: str) -> NoReturn:
        line = ", ".join(header)[:200].encode(errors="backslashreplace").decode()
        way_out = f"name {self._inputs.option}, or add --no-header if that is a record"
        if not all(map(is_unicode, header)):
            way_out += "; it is not valid UTF-8, so say what it is with --encoding"
        if self._inputs.kind == "tsv" and '"' in line:
            way_out += "; TSV has no quotes: where the file has, add --format csv --delimiter tab"
        raise SetupError(
            f"{self._path} has {header.count(name)} columns {name!r} and must have one; its header is "
            f"{line}; {way_out}"
        )


def _name(sign: str) -> str:
    return "tab" if sign == "\t" else repr(sign)
