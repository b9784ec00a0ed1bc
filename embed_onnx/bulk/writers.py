"""What an output file is made of: .npy, JSON lines, or Parquet.

While rows come, each file only grows at its end, so that a journal can cut it back to any row. What the
kind of file takes besides, a header or a footer, is made at the end.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import msgspec
import numpy as np
from numpy.lib import format as npy_format

from embed_onnx.bulk import readers
from embed_onnx.bulk.inputs import INDEX, META, Column, Inputs
from embed_onnx.engine import dtypes
from embed_onnx.engine.dtypes import DType
from embed_onnx.engine.outputs.sparse import SparseVector
from embed_onnx.errors import SetupError

OWN_COLUMNS = ("index", "id", "num_tokens", "truncated")
"""Columns of any output that are ours, besides those of the values; one that is kept needs another name."""
EMBEDDING = "embedding"
"""The column of vectors."""
SPARSE = "sparse_embedding"
"""That of sparse ones: in Parquet a list of ``index`` and ``value``, in JSON ``indices`` and ``values``."""
MATRIX = "token_embeddings"
"""That of token vectors: a list of vectors a text."""
Kind = Literal["numbers", "sparse_vectors", "token_vectors"]
"""What the value of a row is: one number or ``width`` of them, a sparse vector, or [tokens, width]."""
M = TypeVar("M", bound="Meta")
STDOUT = Path("-")
"""Standard output, which takes JSON lines."""
MAIN = ""
"""The suffix of the output itself, among those of the files beside it."""


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """Which model made a result, and of what. In a Parquet file's schema, else in OUTPUT.meta.json.

    ``artifact`` is the sha256 of the model's file, and ``plan`` that of the command and its inputs, to know
    them again.
    """

    format: int = 1
    embed_onnx: str
    model: str
    repo: str
    revision: str | None
    artifact: str
    precision: str
    runs_on: str
    rows: int
    rejected: int
    truncated: int
    tokens: int
    plan: str


class Values(msgspec.Struct, frozen=True, kw_only=True):
    """The column of what was computed: of ``width`` numbers a vector, or of single ones without it.

    ``beside`` are columns of strings that were computed as well, after those that are kept.
    """

    name: str
    kind: Kind = "numbers"
    dtype: DType = "float32"
    width: int | None = None
    beside: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one value."""
        return () if self.width is None else (self.width,)


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows to write; ``truncated`` says whether a text was cut.

    ``values`` are [rows, width] or [rows], or a list of sparse vectors, or of [tokens, width] each.
    """

    indexes: Sequence[int]
    columns: Sequence[Column]
    tokens: Sequence[int]
    truncated: Sequence[bool]
    values: Any


class Writer(Protocol):
    """Files that grow, by name."""

    names: tuple[str, ...]

    def start(self) -> list[bytes]:
        """How each file begins."""

    def encode(self, rows: Rows) -> list[bytes]:
        """What rows add to each file."""

    def close(self, folder: Path, meta: Meta) -> dict[str, str]:
        """Complete the files of a folder; the name of each that is part of the result, and its suffix."""


def suffixes() -> tuple[str, ...]:
    """Of the outputs that can be written."""
    return tuple(_WRITERS)


def writer(output: Path, inputs: Inputs, values: Values) -> Writer:
    """The one for an output's suffix, which is one of ``suffixes``, or for standard output.

    Raises:
        SetupError: It cannot keep columns, one is given twice, or has one of our names.
    """
    for name in inputs.keep:
        if inputs.keep.count(name) > 1:
            raise SetupError(f"--keep names {name!r} twice; give every column once")
        if name in (*OWN_COLUMNS, values.name, *values.beside):
            way_out = "give it with --id" if name == "id" else "rename yours"
            raise SetupError(f"--keep {name}: the output has a column {name!r} of its own; {way_out}")
    kind = ".jsonl" if output == STDOUT else output.suffix
    matching: Writer = _WRITERS[kind](inputs, values)
    return matching


def json_lines(inputs: Inputs, values: Values) -> "_JsonLines":
    """The one for standard output."""
    return _JsonLines(inputs, values)


def meta_of(output: Path, kind: type[M]) -> M | None:
    """What a finished result says of itself; None if it says nothing that such a command wrote."""
    try:
        if output.suffix == ".parquet":
            raw = readers.parquet().metadata(output)
        else:
            raw = Path(f"{output}{META}").read_bytes()
        return None if raw is None else msgspec.json.decode(raw, type=kind)
    except (OSError, ValueError):
        return None


class _Npy:
    """Values, [rows, width] or [rows], and beside them the index of each row."""

    names = ("vectors.npy", "index.npy")

    def __init__(self, inputs: Inputs, values: Values) -> None:
        if values.kind != "numbers":
            noun = values.kind.replace("_", " ")
            raise SetupError(f"a .npy file holds no {noun}; write .parquet or .jsonl")
        if inputs.columns:
            raise SetupError("a .npy file holds numbers alone; write .parquet or .jsonl for --id and --keep")
        self._kinds: list[tuple[np.dtype[Any], tuple[int, ...]]] = [
            (dtypes.NUMPY[values.dtype], values.shape),
            (np.dtype("<i8"), ()),
        ]

    def start(self) -> list[bytes]:
        return [b"\0" * _HEADER_BYTES] * len(self.names)

    def encode(self, rows: Rows) -> list[bytes]:
        return [rows.values.tobytes(), np.asarray(rows.indexes, "<i8").tobytes()]

    def close(self, folder: Path, meta: Meta) -> dict[str, str]:
        for name, (kind, shape) in zip(self.names, self._kinds, strict=True):
            with (folder / name).open("r+b") as file:
                _write_header(file, kind, (meta.rows, *shape))
        return {"vectors.npy": MAIN, "index.npy": INDEX, _write_meta(folder, meta): META}


class _JsonLines:
    """An object a line: index, id, kept and computed columns, num_tokens, truncated if so, the value."""

    names = ("rows.jsonl",)

    def __init__(self, inputs: Inputs, values: Values) -> None:
        self._columns = (*inputs.kept, *values.beside)
        self._name = values.name
        self._encoder = msgspec.json.Encoder()

    def start(self) -> list[bytes]:
        return [b""]

    def encode(self, rows: Rows) -> list[bytes]:
        columns = [column if isinstance(column, list) else _json_values(column) for column in rows.columns]
        lines = []
        for place, index in enumerate(rows.indexes):
            line: dict[str, Any] = {"index": index}
            line.update((name, column[place]) for name, column in zip(self._columns, columns, strict=True))
            line["num_tokens"] = rows.tokens[place]
            if rows.truncated[place]:
                line["truncated"] = True
            line[self._name] = _json(rows.values[place])
            lines.append(line)
        return [self._encoder.encode_lines(lines)]

    def close(self, folder: Path, meta: Meta) -> dict[str, str]:
        return {"rows.jsonl": MAIN, _write_meta(folder, meta): META}


class _Parquet:
    """Columns index, id, the kept and the computed, num_tokens, truncated, and the values."""

    names = ("rows.arrow",)

    def __init__(self, inputs: Inputs, values: Values) -> None:
        self._parquet = readers.parquet()
        fields = [
            ("index", "int64"),
            *zip(inputs.kept, self._parquet.types(inputs), strict=True),
            *((name, "string") for name in values.beside),
            ("num_tokens", "int32"),
            ("truncated", "bool"),
        ]
        match values.kind:
            case "sparse_vectors":
                self._rows = self._parquet.SparseRows(fields, values.name)
            case "token_vectors":
                self._rows = self._parquet.TokenRows(fields, values.name, values.dtype, values.width)
            case "numbers":
                self._rows = self._parquet.DenseRows(fields, values.name, values.dtype, values.width)

    def start(self) -> list[bytes]:
        return [self._rows.start()]

    def encode(self, rows: Rows) -> list[bytes]:
        kept = [
            [_as_text(value) for value in column] if isinstance(column, list) else column
            for column in rows.columns
        ]
        return [self._rows.encode([rows.indexes, *kept, rows.tokens, rows.truncated], rows.values)]

    def close(self, folder: Path, meta: Meta) -> dict[str, str]:
        target = folder / "rows.parquet"
        self._parquet.write(folder / "rows.arrow", target, msgspec.json.encode(meta))
        return {target.name: MAIN}


_WRITERS: dict[str, Any] = {".npy": _Npy, ".jsonl": _JsonLines, ".parquet": _Parquet}
_HEADER_BYTES = 128
"""Of a .npy file: numpy leaves room in it for the number of rows to grow."""


def _write_header(file: Any, kind: np.dtype[Any], shape: tuple[int, ...]) -> None:
    described = {"descr": npy_format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    npy_format.write_array_header_1_0(file, described)
    if file.tell() != _HEADER_BYTES:
        raise SetupError(
            f"numpy wrote a header of {file.tell()} bytes; there is room for {_HEADER_BYTES}. This is a bug"
        )


def _write_meta(folder: Path, meta: Meta) -> str:
    (folder / "meta.json").write_bytes(msgspec.json.format(msgspec.json.encode(meta), indent=2) + b"\n")
    return "meta.json"


def _json(value: Any) -> Any:
    """A value for JSON: a number or lists of them, or a sparse vector."""
    if isinstance(value, SparseVector):
        return {"indices": value.indices.tolist(), "values": value.weights.tolist()}
    return value.tolist()


def _json_values(column: Column) -> list[Any]:
    """Values of a column of Arrow that JSON can hold; bytes become base64, not finite numbers null."""
    from embed_onnx.bulk import columns  # noqa: PLC0415 - it needs pyarrow, which is there if the column is

    encode = msgspec.json.Encoder(enc_hook=str).encode
    return [
        value if isinstance(value, (str, int, type(None))) else msgspec.Raw(encode(value))
        for value in columns.values(column)
    ]


def _as_text(value: msgspec.Raw | str | None) -> str | None:
    """A value that is kept, as a string: a JSON string decoded, any other JSON value as it is written."""
    if not isinstance(value, msgspec.Raw):
        return value
    raw = bytes(value)
    return msgspec.json.decode(raw, type=str) if raw.startswith(b'"') else raw.decode()
