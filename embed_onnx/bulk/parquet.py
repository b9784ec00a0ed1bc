"""Parquet in and out; the only file that imports pyarrow, which is in the extra ``bulk``.

Rows on their way to a Parquet file wait as an Arrow stream, to which rows can be appended and which can be
cut after any of them: a Parquet file is worth nothing before its last byte.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from embed_onnx.bulk.inputs import Column, Inputs
from embed_onnx.engine.dtypes import DType, Stored
from embed_onnx.errors import SetupError

METADATA = b"embed_onnx"
"""The key of our metadata in the schema of a Parquet file."""
EMBEDDING = "embedding"
ROW_GROUP_BYTES = 32 * 1024 * 1024
ROW_GROUP_ROWS = 16_384
"""A row group ends with the message that reaches so many bytes or rows."""
READ_BYTES = 1024 * 1024
"""Read at a time of each column."""
BINARY = (
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
    pa.types.is_fixed_size_binary,
)
ARROW: dict[DType, Any] = {
    "float32": pa.float32(),
    "float16": pa.float16(),
    "int8": pa.int8(),
    "ubinary": pa.uint8(),
}


def check(inputs: Inputs) -> None:
    """Look at the schemas of Parquet files.

    Raises:
        SetupError: A file is none, lacks a column, has no strings in the column of the texts, or another type
            than the first file in a column that is kept.
    """
    first: Any = None
    for file in inputs.files:
        if file.path == "-":
            raise SetupError(
                "Parquet cannot come from standard input, as its end is read first; give the file"
            )
        schema = _open(file.path).schema_arrow
        for name in (inputs.field, *inputs.columns):
            if len(schema.get_all_field_indices(name)) != 1:
                raise SetupError(
                    f"{file.path} has no single column {name!r}; its columns are "
                    f"{', '.join(schema.names)[:200]}; name the column of the texts with --field"
                )
        if not is_text(schema.field(inputs.field).type):
            kind = schema.field(inputs.field).type
            raise SetupError(
                f"{file.path}: the column {inputs.field!r} is of type {kind}, and texts are strings or "
                "binary; name another with --field"
            )
        types = [schema.field(name).type for name in inputs.columns]
        first = first or (file.path, types)
        if types != first[1]:
            raise SetupError(f"{file.path} and {first[0]} have different types in the columns that are kept")


def types(inputs: Inputs) -> list[Any]:
    """The Arrow types of the columns that are kept; from files that are no Parquet, all are strings."""
    if inputs.kind != "parquet":
        return [pa.string() for _ in inputs.columns]
    schema = _open(inputs.files[0].path).schema_arrow
    return [_plain(schema.field(name).type) for name in inputs.columns]


def read(
    path: str, inputs: Inputs, skip: int, rows: int, size: int
) -> Iterator[tuple[list[Any], list[Column], float]]:
    """Texts and kept columns of some rows at a time, and the share of the file that is read then.

    Up to ``rows`` of them, and about ``size`` bytes. A text that is not valid UTF-8 comes as bytes.
    """
    names = [inputs.field, *inputs.columns]
    try:
        with _open(path) as file:
            total = max(1, file.metadata.num_rows)
            groups, skip, done = _groups(file, skip)
            rows = min(rows, _rows_of(file, names, size))
            for batch in file.iter_batches(rows, row_groups=groups, columns=names):
                done += batch.num_rows
                if skip >= batch.num_rows:
                    skip -= batch.num_rows
                    continue
                found, skip = batch.slice(skip), 0
                yield (
                    texts(found.column(inputs.field)),
                    [found.column(name).cast(_plain(found.column(name).type)) for name in names[1:]],
                    done / total,
                )
    except (pa.ArrowException, OSError) as err:
        raise SetupError(f"{path} cannot be read: {err}") from None


def _open(path: str) -> Any:
    try:
        # Buffered: a column is read piece by piece, and not a whole row group of it.
        return pq.ParquetFile(path, buffer_size=READ_BYTES, pre_buffer=False)
    except (pa.ArrowException, OSError) as err:
        raise SetupError(f"{path} cannot be read as Parquet: {err}") from None


def _groups(file: Any, skip: int) -> tuple[list[int], int, int]:
    """The row groups after so many rows, the rows to pass over in the first of them, and those before it."""
    before, first = 0, 0
    while first < file.num_row_groups and before + file.metadata.row_group(first).num_rows <= skip:
        before += file.metadata.row_group(first).num_rows
        first += 1
    return list(range(first, file.num_row_groups)), skip - before, before


def _rows_of(file: Any, names: Sequence[str], size: int) -> int:
    """How many rows have so many bytes in some columns, where they are longest; at least one."""
    wanted = tuple(f"{name}." for name in names)
    found = size
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        if not group.num_rows:
            continue
        chunks = [group.column(place) for place in range(group.num_columns)]
        # The path of a nested column begins with the name of the whole.
        taken = sum(
            chunk.total_uncompressed_size for chunk in chunks if f"{chunk.path_in_schema}.".startswith(wanted)
        )
        found = min(found, size * group.num_rows // max(1, taken))
    return max(1, found)


def _plain(kind: Any) -> Any:
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
    kind = _plain(kind)
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


class Rows:
    """Rows as messages of an Arrow stream. ``fields`` are names and types of all columns but the vectors'."""

    def __init__(self, fields: Sequence[tuple[str, Any]], dtype: DType, width: int) -> None:
        vectors = pa.list_(pa.field("element", ARROW[dtype], nullable=False), width)
        self._schema = pa.schema([*fields, pa.field(EMBEDDING, vectors, nullable=False)])

    def start(self) -> bytes:
        """How the stream begins."""
        begun: bytes = self._schema.serialize().to_pybytes()
        return begun

    def encode(self, columns: Sequence[Column], vectors: Stored) -> bytes:
        """A message of rows: their columns, and vectors [rows, width]."""
        kept = [
            column if isinstance(column, pa.Array) else pa.array(column, field.type)
            for column, field in zip(columns, self._schema, strict=False)
        ]
        kind = self._schema.field(EMBEDDING).type
        flat = pa.array(np.ascontiguousarray(vectors).reshape(-1), kind.value_type)
        arrays = [*kept, pa.FixedSizeListArray.from_arrays(flat, type=kind)]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        message: bytes = batch.serialize().to_pybytes()
        return message


def write(stream: Path, target: Path, metadata: bytes) -> None:
    """Make a Parquet file of an Arrow stream, a row group at a time."""
    with pa.OSFile(str(stream)) as source, pa.ipc.open_stream(source) as rows:
        schema = rows.schema.with_metadata({METADATA: metadata})
        # Vectors are noise to a compressor and to a dictionary.
        others = [name for name in schema.names if name != EMBEDDING]
        with pq.ParquetWriter(target, schema, compression="zstd", use_dictionary=others) as writer:
            for table in _tables(rows):
                writer.write_table(table.cast(schema), row_group_size=table.num_rows)


def _tables(rows: Any) -> Iterator[Any]:
    """A table for each row group."""
    waiting: list[Any] = []
    count, size = 0, 0
    for batch in rows:
        waiting.append(batch)
        count += batch.num_rows
        size += batch.nbytes
        if count >= ROW_GROUP_ROWS or size >= ROW_GROUP_BYTES:
            yield pa.Table.from_batches(waiting).combine_chunks()
            waiting, count, size = [], 0, 0
    if count:
        yield pa.Table.from_batches(waiting).combine_chunks()


def take(column: Any, places: Sequence[int]) -> Any:
    """Some values of a column, or none."""
    return column.take(pa.array(places, pa.int64()))


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
        found: list[Any] = column.to_pylist()
    except OverflowError:
        if len(column) > 1:
            return [values(take(column, [place]))[0] for place in range(len(column))]
        return values(column.cast(_each(column.type, _as_string)))
    return found


def _without_nanoseconds(kind: Any) -> Any:
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    return pa.time64("us") if pa.types.is_time64(kind) else kind


def _as_string(kind: Any) -> Any:
    return pa.string() if pa.types.is_temporal(kind) else kind


def metadata(path: Path) -> bytes | None:
    """Our metadata in a Parquet file; None if there is none."""
    try:
        return (pq.read_schema(path).metadata or {}).get(METADATA)
    except (pa.ArrowException, OSError):
        return None


def as_text(value: msgspec.Raw | str | None) -> str | None:
    """A value that is kept, as a string: a JSON string decoded, any other JSON value as it is written."""
    if not isinstance(value, msgspec.Raw):
        return value
    raw = bytes(value)
    return msgspec.json.decode(raw, type=str) if raw.startswith(b'"') else raw.decode()
