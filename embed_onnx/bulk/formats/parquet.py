"""Parquet in and out, by pyarrow, which is in the extra ``bulk``.

Rows on their way to a Parquet file wait as an Arrow stream, to which rows can be appended and which can be
cut after any of them: a Parquet file is worth nothing before its last byte.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from embed_onnx.bulk import columns
from embed_onnx.bulk.blocks import BLOCK_RECORDS, BLOCK_SIZE, Block, Position, fault, item
from embed_onnx.bulk.inputs import STANDARD_INPUT, Column, File, Inputs
from embed_onnx.engine.dtypes import NUMPY, DType, Stored
from embed_onnx.engine.outputs.sparse import SparseVector
from embed_onnx.errors import SetupError

METADATA = b"embed_onnx"
"""The key of our metadata in the schema of a Parquet file."""
ROW_GROUP_BYTES = 32 * 1024 * 1024
ROW_GROUP_ROWS = 16_384
"""A row group ends with the message that reaches so many bytes or rows."""
READ_BYTES = 1024 * 1024
"""Read at a time of each column."""
ARROW: dict[DType, Any] = {
    "float32": pa.float32(),
    "float16": pa.float16(),
    "int8": pa.int8(),
    "uint8": pa.uint8(),
    "binary": pa.int8(),
    "ubinary": pa.uint8(),
}

Value = TypeVar("Value")
"""The values of some rows."""


def check(inputs: Inputs) -> None:
    """Look at the schemas of Parquet files.

    Raises:
        SetupError: A file is not Parquet, lacks a column, has no strings in the column of the texts, or
            another type than the first file in a column that is kept.
    """
    first: Any = None
    for file in inputs.files:
        if file.path == STANDARD_INPUT:
            raise SetupError(
                "Parquet cannot come from standard input, as its end is read first; give the file"
            )
        schema = _open(file.path).schema_arrow
        for name in (*inputs.fields, *inputs.columns):
            if len(schema.get_all_field_indices(name)) != 1:
                raise SetupError(
                    f"{file.path} has no single column {name!r}; its columns are "
                    f"{', '.join(schema.names)[:200]}; name {inputs.option}"
                )
        for name in inputs.fields:
            kind = schema.field(name).type
            if not columns.is_text(kind):
                raise SetupError(
                    f"{file.path}: the column {name!r} is of type {kind}, and texts are strings or "
                    f"binary; name {inputs.option}"
                )
        types = [schema.field(name).type for name in inputs.columns]
        first = first or (file.path, types)
        if types != first[1]:
            raise SetupError(f"{file.path} and {first[0]} have different types in the columns that are kept")


def types(inputs: Inputs) -> list[Any]:
    """The Arrow types of the columns that are kept; from files of other formats, all are strings."""
    if inputs.kind != "parquet":
        return [pa.string() for _ in inputs.columns]
    schema = _open(inputs.files[0].path).schema_arrow
    return [columns.plain(schema.field(name).type) for name in inputs.columns]


def blocks(inputs: Inputs, file: File, start: Position) -> Iterator[Block]:
    """The rows of a file from a position on; those that cannot be embedded or kept are rejects.

    Raises:
        SetupError: The file cannot be read.
    """
    for texts, kept, share in _read(file.path, inputs, start.records):
        after = Position(start.file, start.records + len(texts), start.index + len(texts))
        block = Block(
            file=file.path,
            texts=texts,
            indexes=list(range(start.index, after.index)),
            lines=list(range(start.records + 1, after.records + 1)),
            columns=kept,
            rejects=[],
            after=after,
            read=int(file.size * share),
        )
        reasons = _reasons(inputs, texts, kept)
        yield block.without(reasons) if reasons else block
        start = after


def _reasons(inputs: Inputs, texts: list[Any], kept: list[Column]) -> dict[int, str]:
    """The places of rows that are rejected, and why."""
    reasons = {place: reason for place, text in enumerate(texts) if (reason := fault(text))}
    for name, column in zip(inputs.columns, kept, strict=True):
        reason = f"the column {name!r}, which is kept, is not valid UTF-8"
        reasons |= dict.fromkeys(columns.damaged(column), reason)
    if inputs.id is not None:
        nulls = [place for place, valid in enumerate(kept[0].is_valid().to_pylist()) if not valid]
        reasons |= dict.fromkeys(nulls, f"the id, column {inputs.id!r}, is null")
    return reasons


def _read(path: str, inputs: Inputs, skip: int) -> Iterator[tuple[list[Any], list[Column], float]]:
    """Texts and kept columns of each block of rows after ``skip``, and the share of the file read by then.

    A text that is not valid UTF-8 comes as bytes.
    """
    names = [*inputs.fields, *inputs.columns]
    try:
        with _open(path) as file:
            total = max(1, file.metadata.num_rows)
            groups, skip, done = _groups(file, skip)
            rows = min(BLOCK_RECORDS, _rows_of(file, names, BLOCK_SIZE))
            for batch in file.iter_batches(rows, row_groups=groups, columns=names):
                done += batch.num_rows
                if skip >= batch.num_rows:
                    skip -= batch.num_rows
                    continue
                unread, skip = batch.slice(skip), 0
                yield (
                    list(map(item, *(columns.texts(unread.column(name)) for name in inputs.fields))),
                    [_kept(unread.column(name)) for name in inputs.columns],
                    done / total,
                )
    except (pa.ArrowException, OSError) as err:
        raise SetupError(f"{path} cannot be read: {err}") from None


def _kept(column: Any) -> Column:
    return column.cast(columns.plain(column.type))


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
    prefixes = tuple(f"{name}." for name in names)
    rows = size
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        if not group.num_rows:
            continue
        chunks = [group.column(place) for place in range(group.num_columns)]
        # The path of a nested column begins with the name of the whole.
        taken = sum(
            chunk.total_uncompressed_size
            for chunk in chunks
            if f"{chunk.path_in_schema}.".startswith(prefixes)
        )
        rows = min(rows, size * group.num_rows // max(1, taken))
    return max(1, rows)


class Rows(Generic[Value]):
    """Rows as messages of an Arrow stream. ``fields`` are names and types of all columns but the last.

    That one, of a name and a type, has the values of rows, which ``array`` makes a column.
    """

    def __init__(
        self, fields: Sequence[tuple[str, Any]], name: str, kind: Any, array: Callable[[Value], Any]
    ) -> None:
        self._schema = pa.schema([*fields, pa.field(name, kind, nullable=False)])
        self._array = array

    def start(self) -> bytes:
        """How the stream begins."""
        head: bytes = self._schema.serialize().to_pybytes()
        return head

    def encode(self, columns: Sequence[Column], values: Value) -> bytes:
        """A message of rows: their columns, and values."""
        kept = [
            column if isinstance(column, pa.Array) else pa.array(column, field.type)
            for column, field in zip(columns, self._schema, strict=False)
        ]
        batch = pa.RecordBatch.from_arrays([*kept, self._array(values)], schema=self._schema)
        message: bytes = batch.serialize().to_pybytes()
        return message


class DenseRows(Rows[Stored]):
    """Rows whose values are lists of ``width`` numbers, [rows, width], or without it single ones, [rows]."""

    def __init__(self, fields: Sequence[tuple[str, Any]], name: str, dtype: DType, width: int | None) -> None:
        kind = _kind(dtype, width)
        super().__init__(fields, name, kind, lambda values: _array(values, kind))


class TokenRows(Rows[Sequence[Stored]]):
    """Rows whose values are lists of vectors, [tokens, width] each."""

    def __init__(self, fields: Sequence[tuple[str, Any]], name: str, dtype: DType, width: int) -> None:
        vector = _kind(dtype, width)
        kind = pa.list_(pa.field("element", vector, nullable=False))

        def array(matrices: Sequence[Stored]) -> Any:
            ends = np.cumsum([0, *map(len, matrices)], dtype=np.int32)
            vectors = np.concatenate([np.empty((0, width), NUMPY[dtype]), *matrices])
            return pa.ListArray.from_arrays(pa.array(ends), _array(vectors, vector), type=kind)

        super().__init__(fields, name, kind, array)


def _kind(dtype: DType, width: int | None) -> Any:
    """Arrow's type of ``width`` numbers, or of one number without it."""
    numbers = ARROW[dtype]
    return numbers if width is None else pa.list_(pa.field("element", numbers, nullable=False), width)


def _array(values: Stored, kind: Any) -> Any:
    """Values [rows, width], or [rows] of single numbers, as an array of such a type."""
    flat = np.ascontiguousarray(values).reshape(-1)
    if not pa.types.is_fixed_size_list(kind):
        return pa.array(flat, kind)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat, kind.value_type), type=kind)


class SparseRows(Rows[Sequence[SparseVector]]):
    """Rows whose values are sparse vectors: lists of an ``index`` and a ``value``."""

    ENTRY = pa.struct(
        [pa.field("index", pa.int32(), nullable=False), pa.field("value", pa.float32(), nullable=False)]
    )

    def __init__(self, fields: Sequence[tuple[str, Any]], name: str) -> None:
        kind = pa.list_(pa.field("element", self.ENTRY, nullable=False))

        def array(vectors: Sequence[SparseVector]) -> Any:
            ends = np.cumsum([0, *(len(vector.indices) for vector in vectors)], dtype=np.int32)
            indices = np.concatenate([np.empty(0, np.int32), *(vector.indices for vector in vectors)])
            weights = np.concatenate([np.empty(0, np.float32), *(vector.weights for vector in vectors)])
            entries = pa.StructArray.from_arrays(
                [pa.array(indices), pa.array(weights)], fields=list(self.ENTRY)
            )
            return pa.ListArray.from_arrays(pa.array(ends), entries, type=kind)

        super().__init__(fields, name, kind, array)


def write(stream: Path, target: Path, metadata: bytes) -> None:
    """Make a Parquet file of an Arrow stream, a row group at a time."""
    with pa.OSFile(str(stream)) as source, pa.ipc.open_stream(source) as rows:
        schema = rows.schema.with_metadata({METADATA: metadata})
        others = schema.names[:-1]  # vectors are noise to a compressor and to a dictionary
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


def metadata(path: Path) -> bytes | None:
    """Our metadata in a Parquet file; None if there is none."""
    try:
        return (pq.read_schema(path).metadata or {}).get(METADATA)
    except (pa.ArrowException, OSError):
        return None
