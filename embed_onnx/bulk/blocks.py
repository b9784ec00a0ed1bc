"""What reading gives, whatever the format: blocks of texts, and the records that are not texts.

A record is a line of a text file or of JSON lines, a row of CSV below its header, or a row of Parquet. Every
record has an index, counted from 0 over all files in their order, and either a text or a reason why not.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from embed_onnx.bulk.inputs import Column

BLOCK_RECORDS = 128
BLOCK_SIZE = 262_144
"""A block ends at so many records, or after the one that reaches so many characters or bytes."""


PLACES = ("first", "second")
"""Of the texts of a pair, in words."""


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
    """Records of one file that follow each other; ``texts`` are strings, or pairs of them as tuples.

    ``texts``, ``indexes``, ``lines`` and each of the ``columns`` have an item a text. ``read`` are the
    bytes of all files before the end of the block; None of standard input.
    """

    file: str
    texts: list[Any]
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


class Record(NamedTuple):
    """``text`` is whatever stands in its place, or a tuple of two; with a reason, there is nothing to see."""

    line: int
    text: Any
    columns: Sequence[Any] = ()
    reason: str = ""


def _take(column: Column, places: list[int]) -> Column:
    return (
        [column[at] for at in places] if isinstance(column, list) else column.take(np.array(places, np.int64))
    )


def item(*values: Any) -> Any:
    """What one value stands for, or the pair of two."""
    return values if len(values) > 1 else values[0]


def fault(text: object, encoding: str = "UTF-8") -> str:
    """Why something is not a text to embed, or a pair of them to score; empty if it is one.

    ``encoding`` is that of its file.
    """
    if isinstance(text, tuple):
        faults = (
            _fault(part, f"the {number} text", encoding) for number, part in zip(PLACES, text, strict=True)
        )
        return next(filter(None, faults), "")
    return _fault(text, "the text", encoding)


def _fault(text: object, name: str, encoding: str) -> str:
    if text is None:
        return f"{name} is null"
    if isinstance(text, bytes):
        return f"{name} is not valid {encoding}"
    if not isinstance(text, str):
        return f"{name} is of type {type(text).__name__}, not a string"
    if not text:
        return f"{name} is empty"
    return "" if is_unicode(text) else f"{name} is not valid {encoding}"


def is_unicode(text: str) -> bool:
    """Whether it holds no lone surrogate, which stands for a byte that is not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
