"""Lines of files of any size, plain or compressed, in any encoding; as UTF-8, in bounded memory.

The formats of lines are read from here: plain text below, JSON lines and CSV in files of their own.
"""

import codecs
import gzip
import hashlib
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

from embed_onnx.bulk.blocks import Record
from embed_onnx.bulk.inputs import STANDARD_INPUT, UTF_8, File, Inputs
from embed_onnx.errors import SetupError

Units = tuple[Iterator[Any], Callable[[Any], Record]]
"""What makes up the records of a file, which can be passed over, and how one becomes a record."""
DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)
"""What a .gz file may raise."""
LINE_BYTES = 16 * 1024 * 1024
"""A longer line is no record: it must not fill the memory. Where it is not UTF-8, characters count."""
BYTE_ORDER_MARK = codecs.BOM_UTF8
MARKS = (
    (codecs.BOM_UTF32_LE, ("utf-32", "utf-32-le")),
    (codecs.BOM_UTF32_BE, ("utf-32", "utf-32-be")),
    (codecs.BOM_UTF16_LE, ("utf-16", "utf-16-le")),
    (codecs.BOM_UTF16_BE, ("utf-16", "utf-16-be")),
    (codecs.BOM_UTF8, (UTF_8,)),
)
"""Byte order marks, and the encodings that they are of; UTF-32's before those of UTF-16 that begin them."""
UNREADABLE = "\udc80"
"""In the place of bytes that are not of a file's encoding; not valid in UTF-8 either, so it is noticed."""


def _mark(err: UnicodeError) -> tuple[str, int]:
    assert isinstance(err, UnicodeDecodeError)  # noqa: S101 - narrows the type
    return UNREADABLE, err.end


codecs.register_error("embed-onnx-unreadable", _mark)


@contextmanager
def open_file(file: File) -> Iterator[tuple[Any, BinaryIO]]:
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


class Lines:
    """Lines of a stream with their ends, as UTF-8. Of one that is too long only the start is read."""

    def __init__(self, stream: Any, file: File, encoding: str = UTF_8) -> None:
        self.path = file.path
        self.encoding = encoding
        self.number = 0
        """Of the line that was read last."""
        self.cut = False
        """Whether any was too long; who reads this resets it."""
        self.quotes = 0
        """In the part of the last line that was skipped."""
        self._start: Callable[[int], bytes] = stream.peek
        self._stream = stream if encoding == UTF_8 else _Recoded(stream, encoding, file.path)
        self._digest = hashlib.blake2b(digest_size=16) if file.path == STANDARD_INPUT else None

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> bytes:
        """The next line.

        Raises:
            SetupError: The stream begins as one of another encoding does.
        """
        if not self.number:
            _check_encoding(self._start(4)[:4], self.path, self.encoding)
        line = self._read()
        if not line:
            raise StopIteration
        self.number += 1
        self.quotes = 0
        piece = line
        while not piece.endswith(b"\n") and (piece := self._read()):
            self.cut = True
            self.quotes += piece.count(b'"')
        if self.number == 1 and not piece:
            _check_line_ends(line, self.path)
        return line.removeprefix(BYTE_ORDER_MARK) if self.number == 1 else line

    @property
    def digest(self) -> str:
        """Of all that was read."""
        return self._digest.hexdigest() if self._digest else ""

    def decode(self, line: bytes, errors: str = "strict") -> tuple[str, str]:
        """The line that was read last, without its end, and what is wrong with it."""
        if self.cut:
            self.cut = False
            return "", f"the line is longer than {LINE_BYTES:,} bytes"
        try:
            text = line.decode("utf-8", errors).removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as err:
            where = f" (byte {err.start + 1})" if self.encoding == UTF_8 else ""
            return "", f"the line is not valid {self.encoding.upper()}{where}"
        return text, "" if text else "the line is empty"

    def _read(self) -> bytes:
        piece: bytes = self._stream.readline(LINE_BYTES)
        if self._digest:
            self._digest.update(piece)
        return piece


class _Recoded:
    """Lines of another encoding as UTF-8; what is not of that encoding is not valid UTF-8 either."""

    def __init__(self, stream: IO[bytes], encoding: str, path: str) -> None:
        self._path = path
        self._encoding = encoding
        self._text = io.TextIOWrapper(stream, encoding, errors="embed-onnx-unreadable", newline="\n")

    def readline(self, characters: int) -> bytes:
        """A line, or so many characters of it.

        Raises:
            SetupError: The stream does not begin as one of that encoding has to.
        """
        try:
            return self._text.readline(characters).encode(errors="surrogatepass")
        except UnicodeError:
            raise SetupError(
                f"{self._path} has no byte order mark, with which {self._encoding.upper()} begins; say in "
                f"which order its bytes are, with --encoding {self._encoding}-le or {self._encoding}-be"
            ) from None


def _check_encoding(start: bytes, path: str, encoding: str) -> None:
    """Compare the first bytes of a file with the encoding that it is read as."""
    for mark, names in MARKS:
        if start.startswith(mark):
            if encoding not in names:
                raise SetupError(
                    f"{path} is {names[0].upper()}, as its byte order mark says, and would be read as "
                    f"{encoding.upper()}; add --encoding {names[0]}"
                )
            return
    if encoding == UTF_8 and b"\0" in start:
        raise SetupError(
            f"{path} has bytes of zero, which texts in UTF-8 do not; say what it is with --encoding, "
            "utf-16-le or utf-16-be for example"
        )


def _check_line_ends(only: bytes, path: str) -> None:
    """Look at the only line of a file, which has no line feed, for what may be ends of lines."""
    if b"\r" in only.rstrip(b"\r\n"):
        raise SetupError(
            f"{path} has carriage returns and no line feeds, as Excel's formats for Macintosh have; save it "
            "in another format, or change its line ends, with tr '\\r' '\\n' for example"
        )


def open_lines(lines: Lines, _: Inputs) -> Units:
    """A text a line."""

    def record(line: bytes) -> Record:
        text, reason = lines.decode(line)
        return Record(lines.number, text, reason=reason)

    return lines, record
