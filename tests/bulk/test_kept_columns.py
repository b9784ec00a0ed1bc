"""Columns of the input that are kept beside the vectors, with their types."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bulk_runs import Embed, lines_in, texts_of, vectors_in
from small_models import WIDTH

from embed_onnx import Model
from embed_onnx.bulk import blocks, inputs, readers
from embed_onnx.bulk.blocks import Position
from embed_onnx.bulk.formats import parquet


def test_columns_of_parquet_are_kept_with_their_types(embed: Embed, small: Model, tmp_path: Path) -> None:
    texts = texts_of(700)
    table = pa.table(
        {
            "body": texts,
            "number": pa.array(range(700), pa.int16()),
            "tags": [[str(n)] * (n % 3) for n in range(700)],
            "when": pa.array(range(700), pa.timestamp("ns")),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=300)

    output = tmp_path / "out.parquet"
    embed(tmp_path / "in.parquet", output, field="body", id="number", keep=("tags", "when"))

    actual = pq.read_table(output)
    assert ["index", "id", "tags", "when", "num_tokens", "truncated", "embedding"] == actual.column_names
    assert table["number"].combine_chunks() == actual["id"].combine_chunks()
    assert table["tags"].to_pylist() == actual["tags"].to_pylist()
    assert table.schema.field("when").type == actual.schema.field("when").type
    assert (
        pa.list_(pa.field("element", pa.float32(), nullable=False), WIDTH)
        == actual.schema.field("embedding").type
    )
    assert np.array_equal(small.encode(texts), vectors_in(output))


@pytest.mark.parametrize("kind", [".jsonl", ".parquet"])
def test_fields_of_json_lines_are_kept_as_they_are_written(embed: Embed, tmp_path: Path, kind: str) -> None:
    """JSON has no types of columns: in Parquet they are strings, and in JSON lines nothing changes."""
    rows = ['{"text": "one", "id": 12345678901234567890, "more": {"a": [1.50]}}', '{"id":"x","text":"two"}']
    (tmp_path / "in.jsonl").write_text("\n".join(rows) + "\n")

    embed(tmp_path / "in.jsonl", tmp_path / f"out{kind}", id="id", keep=("more",))

    if kind == ".parquet":
        actual = pq.read_table(tmp_path / "out.parquet").select(["id", "more"]).to_pylist()
        assert [
            {"id": "12345678901234567890", "more": '{"a": [1.50]}'},
            {"id": "x", "more": None},
        ] == actual
    else:
        first, second = (tmp_path / "out.jsonl").read_text().splitlines()
        assert first.startswith('{"index":0,"id":12345678901234567890,"more":{"a": [1.50]},"num_tokens":')
        assert second.startswith('{"index":1,"id":"x","more":null,"num_tokens":')


def test_parquet_values_become_json(embed: Embed, tmp_path: Path) -> None:
    """Numbers and strings as they are, times in ISO 8601, what is not finite as null."""
    table = pa.table(
        {
            "text": ["a", "b"],
            "day": pa.array([0, 1], pa.date32()),
            "score": [1.5, float("nan")],
            "n": [1, None],
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")

    embed(tmp_path / "in.parquet", tmp_path / "out.jsonl", id="day", keep=("score", "n"))

    actual = [(line["id"], line["score"], line["n"]) for line in lines_in(tmp_path / "out.jsonl")]
    assert [("1970-01-01", 1.5, 1), ("1970-01-02", None, None)] == actual


@pytest.mark.parametrize("kind", [".jsonl", ".parquet"])
def test_the_text_is_kept_too(embed: Embed, tmp_path: Path, kind: str) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "a \\"quoted\\" text"}\n')

    embed(tmp_path / "in.jsonl", tmp_path / f"out{kind}", keep=("text",))

    output = tmp_path / f"out{kind}"
    (row,) = lines_in(output) if kind == ".jsonl" else pq.read_table(output).to_pylist()
    assert 'a "quoted" text' == row["text"]


@pytest.mark.parametrize("kind", [".jsonl", ".parquet"])
def test_categories_and_nanoseconds_are_kept(embed: Embed, tmp_path: Path, kind: str) -> None:
    """What pandas makes of repeated strings, and of times."""
    table = pa.table(
        {
            "text": pa.array(["a", "b", "a"]).dictionary_encode(),
            "colour": pa.array(["red", "blue", "red"]).dictionary_encode(),
            "when": pa.array([1, 2_001, None], pa.timestamp("ns")),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")

    embed(tmp_path / "in.parquet", tmp_path / f"out{kind}", id="colour", keep=("when",))

    output = tmp_path / f"out{kind}"
    rows = lines_in(output) if kind == ".jsonl" else pq.read_table(output).to_pylist()
    assert ["red", "blue", "red"] == [row["id"] for row in rows]
    if kind == ".jsonl":
        assert ["1970-01-01T00:00:00", "1970-01-01T00:00:00.000002", None] == [row["when"] for row in rows]
    else:
        assert table["when"].combine_chunks() == pq.read_table(output)["when"].combine_chunks()


@pytest.mark.parametrize("kind", [".jsonl", ".parquet"])
def test_types_within_types_are_kept(embed: Embed, tmp_path: Path, kind: str) -> None:
    colours = pa.array(["red", "blue", "red"]).dictionary_encode()
    late = pa.array([0, 1_001, 2_002], pa.timestamp("ns"))
    columns = {
        "list": pa.ListArray.from_arrays([0, 1, 3], colours),
        "struct": pa.StructArray.from_arrays([colours.slice(1), late.slice(1)], ["colour", "when"]),
        "map": pa.MapArray.from_arrays([0, 2, 3], pa.array(["a", "b", "c"]), late),
        "large": pa.LargeListArray.from_arrays([0, 1, 3], late),
        "fixed": pa.FixedSizeListArray.from_arrays(colours.take([0, 1, 1, 2]), 2),
        "far": pa.array([2**45, 0], pa.timestamp("s")),
    }
    table = pa.table({"text": ["a", "b"], **columns})
    pq.write_table(table, tmp_path / "in.parquet")
    output = tmp_path / f"out{kind}"

    embed(tmp_path / "in.parquet", output, keep=tuple(columns))

    if kind == ".parquet":
        # Dictionaries have become their values, and names of elements are Parquet's.
        actual = pq.read_table(output)
        assert ["red"] == actual["list"][0].as_py()
        assert table["far"].cast(actual["far"].type) == actual["far"]
        return
    first, second = lines_in(output)
    assert [["red"], ["blue", "red"]] == [first["list"], second["list"]]
    assert {"colour": "red", "when": "1970-01-01T00:00:00.000002"} == second["struct"]
    assert [["c", "1970-01-01T00:00:00.000002"]] == second["map"]
    assert ["1970-01-01T00:00:00.000001", "1970-01-01T00:00:00.000002"] == second["large"]
    assert ["blue", "red"] == second["fixed"]
    assert "1970-01-01T00:00:00" == second["far"]
    assert "out of range" in first["far"]


def test_kept_columns_end_blocks_and_row_groups(
    embed: Embed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded by them, too."""
    monkeypatch.setattr(parquet, "ROW_GROUP_BYTES", 100_000)
    texts = texts_of(40)
    table = pa.table({"text": texts, "body": [{"all": text * 2_000} for text in texts]})
    pq.write_table(table, tmp_path / "in.parquet", use_dictionary=False)
    value = inputs.find([str(tmp_path / "in.parquet")], None, keep=("body",))

    sizes = [block.columns[0].nbytes for block in readers.blocks(value, Position())]
    embed(tmp_path / "in.parquet", tmp_path / "out.parquet", keep=("body",))

    assert max(sizes) < 2 * blocks.BLOCK_SIZE
    result = pq.ParquetFile(tmp_path / "out.parquet")
    assert result.num_row_groups > 5
    assert table["body"] == result.read()["body"]
