"""Texts in Parquet columns of bytes, as writers leave them that know no strings."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embed_onnx.bulk import inputs, readers
from embed_onnx.bulk.blocks import Block, Position

KINDS = [pa.binary(), pa.large_binary(), pa.binary_view(), pa.dictionary(pa.int32(), pa.binary())]


def blocks(path: Path, **columns: object) -> list[Block]:
    result = inputs.find([str(path)], None, **columns)
    readers.check(result)
    return list(readers.blocks(result, Position()))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_bytes_are_read_as_utf_8(tmp_path: Path, kind: pa.DataType) -> None:
    """A row that is not valid is a reject, and the others are texts."""
    values = [b"one", None, b"na\xefve", "na\u00efve \U0001f600".encode(), b""]
    column = pa.array(values, pa.binary())
    column = column.dictionary_encode() if pa.types.is_dictionary(kind) else column.cast(kind)
    pq.write_table(pa.table({"text": column, "n": range(5)}), tmp_path / "in.parquet")

    (block,) = blocks(tmp_path / "in.parquet", id="n")

    assert ["one", "na\u00efve \U0001f600"] == block.texts
    assert [0, 3] == block.columns[0].to_pylist()
    assert [(2, "the text is null"), (3, "the text is not valid UTF-8"), (5, "the text is empty")] == [
        (reject.line, reject.reason) for reject in block.rejects
    ]


def test_bytes_of_one_length(tmp_path: Path) -> None:
    column = pa.array([b"abc", b"\xff\xff\xff", "d\u00e9".encode()], pa.binary(3))
    pq.write_table(pa.table({"text": column}), tmp_path / "in.parquet")

    (block,) = blocks(tmp_path / "in.parquet")

    assert ["abc", "d\u00e9"] == block.texts


def test_bytes_that_are_kept_need_not_be_text(tmp_path: Path) -> None:
    table = pa.table({"text": pa.array([b"one"]), "raw": pa.array([b"\xff"])})
    pq.write_table(table, tmp_path / "in.parquet")

    (block,) = blocks(tmp_path / "in.parquet", keep=("raw",))

    assert [b"\xff"] == block.columns[0].to_pylist()
