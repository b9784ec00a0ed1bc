"""Columns of Arrow: texts out of them, and the values of those that an output keeps.

Nothing else knows which of Arrow's types hold texts. A column of a file of lines is a list instead.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

BINARY = (
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
    pa.types.is_fixed_size_binary,
)


def plain(kind: Any) -> Any:
    """The type of a column's values: a stream that only grows has no room for dictionaries."""
    return _each(kind, lambda inner: inner.value_type if pa.types.is_dictionary(inner) else inner)


def _each(kind: Any, change: Callable[[Any], Any]) -> Any:
    """A type with a change to each type that it is made of."""
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_each(field.type, change)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_each(kind.key_type, change), _each(kind.item_type, change))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_each(kind.value_type, change)))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_each(kind.value_type, change)), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_each(kind.value_type, change)))
    return change(kind)


def is_text(kind: Any) -> bool:
    """Whether a type is one of strings, or of bytes, which writers that know no strings leave for them."""
    kind = plain(kind)
    return _is_string(kind) or any(is_kind(kind) for is_kind in BINARY)


def _is_string(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def texts(column: Any) -> list[Any]:
    """Strings and nulls, bytes decoded as UTF-8; no bytes at all in the place of what is not valid."""
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        return [_text(value) for value in column]
    return [_decoded(value) if isinstance(value, bytes) else value for value in values]


def _text(value: Any) -> str | bytes | None:
    try:
        text: str | None = value.as_py()
    except UnicodeDecodeError:
        return b""
    return text


def _decoded(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return b""


def damaged(column: Any) -> list[int]:
    """The places of values that are not valid UTF-8, in themselves or within."""
    if not _holds_text(column.type) or _is_valid(column):
        return []
    return [place for place in range(len(column)) if not _is_valid(take(column, [place]))]


def _holds_text(kind: Any) -> bool:
    return bool(_each(kind, lambda part: pa.binary() if _is_string(part) else part) != kind)


def _is_valid(column: Any) -> bool:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def values(column: Any) -> list[Any]:
    """A column's values for Python, whose times have no nanoseconds and end with the year 9999.

    A later one is what Arrow writes for it.
    """
    column = column.cast(_each(column.type, _without_nanoseconds), safe=False)
    try:
        plain_values: list[Any] = column.to_pylist()
    except OverflowError:
        if len(column) > 1:
            return [values(take(column, [place]))[0] for place in range(len(column))]
        return values(column.cast(_each(column.type, _as_string)))
    return plain_values


def _without_nanoseconds(kind: Any) -> Any:
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    return pa.time64("us") if pa.types.is_time64(kind) else kind


def _as_string(kind: Any) -> Any:
    return pa.string() if pa.types.is_temporal(kind) else kind


def take(column: Any, places: Sequence[int]) -> Any:
    """The values of a column at some places, perhaps none."""
    return column.take(pa.array(places, pa.int64()))
