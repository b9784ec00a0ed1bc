"""Bad records: each is listed with its line and its reason, and the rest is embedded."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from bulk_runs import Embed, lines_in, texts_of, vectors_in

from embed_onnx import Model
from embed_onnx.bulk.formats import lines
from embed_onnx.engine import dtypes

REJECTS = {
    "txt": (
        b"good\n\nna\xefve\n" + b"x" * 200 + b"\nlast",
        [
            (2, "the line is empty"),
            (3, "the line is not valid UTF-8 (byte 3)"),
            (4, "the line is longer than 100 bytes"),
        ],
        ["good", "last"],
    ),
    "jsonl": (
        b'\xef\xbb\xbf{"text": "good"}\n{"text": 3}\n{"text": null}\n{"text": ""}\n'
        b'{"other": "x"}\n[1]\n{"text": "a\n'
        b'{"text": "\xff"}\n{"text": "\\ud800"}\n\n{"text": "'
        + b"x" * 200
        + b'"}\n{"text": "last", "n": [[]]}\n',
        [
            (2, "the text is of type int, not a string"),
            (3, "the text is null"),
            (4, "the text is empty"),
            (5, "there is no field 'text'"),
            (6, "the line is JSON and not an object"),
            (7, "the line is not valid JSON: Input data was truncated"),
            (8, "the line is not valid UTF-8 (byte 11)"),
            (10, "the line is empty"),
            (11, "the line is longer than 100 bytes"),
        ],
        ["good", "\ufffd", "last"],
    ),
    "csv": (
        b'n,text\n1,"go\nod"\n2\n3,\n4,a,b\n5,"a"b\n\n6,na\xefve\n7,'
        + b"x" * 200
        + b'\n8,last\n9,"'
        + b"x" * 200
        + b'\nand more",no\n10,last of all\n11,"open\n12,x\n',
        [
            (4, "the row has 1 columns and the header 2"),
            (5, "the text is empty"),
            (6, "the row has 3 columns and the header 2"),
            (7, "the row, up to line 7, is not valid CSV: ',' expected after '\"'"),
            (8, "the line is empty"),
            (9, "the text is not valid UTF-8"),
            (10, "the row, up to line 10, is not valid CSV: a line is longer than 100 bytes"),
            (12, "the row, up to line 13, is not valid CSV: a line is longer than 100 bytes"),
            (15, "the row, up to line 16, is not valid CSV: unexpected end of data"),
        ],
        ["go\nod", "last", "last of all"],
    ),
}


@pytest.mark.parametrize("kind", REJECTS)
def test_bad_records_are_listed_and_the_rest_is_embedded(
    embed: Embed, small: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Each with its file, its line and why; rows say which record they are of."""
    monkeypatch.setattr(lines, "LINE_BYTES", 100)
    content, expected, texts = REJECTS[kind]
    source, output = tmp_path / f"in.{kind}", tmp_path / "out.npy"
    source.write_bytes(content)

    meta = embed(source, output)

    rejects = lines_in(tmp_path / "out.npy.rejects.jsonl")
    assert expected == [(reject["line"], reject["reason"]) for reject in rejects]
    assert {str(source)} == {reject["file"] for reject in rejects}
    assert np.array_equal(small.encode(texts), np.load(output))
    indexes = np.load(tmp_path / "out.npy.index.npy").tolist()
    assert list(range(len(texts) + len(expected))) == sorted(
        indexes + [reject["index"] for reject in rejects]
    )
    assert (len(texts), len(expected)) == (meta.rows, meta.rejected)


def test_bad_records_of_parquet(embed: Embed, small: Model, tmp_path: Path) -> None:
    raw = pa.array([b"good", None, b"", b"na\xefve", b"no id", b"bad tags", b"last"])
    table = pa.table({"text": raw.view(pa.string())})
    table = table.append_column("key", pa.array([1, 2, 3, 4, None, 6, 7]))
    tags = pa.array([b"a", b"b", b"c", b"d", b"e", b"\xff", b"g"]).view(pa.string())
    table = table.append_column("tags", pa.ListArray.from_arrays(list(range(8)), tags))
    pq.write_table(table, tmp_path / "in.parquet")

    embed(tmp_path / "in.parquet", tmp_path / "out.parquet", id="key", keep=("tags",))

    rejects = lines_in(tmp_path / "out.parquet.rejects.jsonl")
    assert [
        (2, "the text is null"),
        (3, "the text is empty"),
        (4, "the text is not valid UTF-8"),
        (5, "the id, column 'key', is null"),
        (6, "the column 'tags', which is kept, is not valid UTF-8"),
    ] == [(reject["line"], reject["reason"]) for reject in rejects]
    assert [1, 7] == pq.read_table(tmp_path / "out.parquet")["id"].to_pylist()
    assert np.array_equal(small.encode(["good", "last"]), vectors_in(tmp_path / "out.parquet"))


@pytest.mark.parametrize("kind", [".jsonl", ".parquet"])
@pytest.mark.parametrize("source", [".jsonl", ".csv", ".parquet"])
def test_a_block_of_bad_records_alone(
    embed: Embed, small: Model, tmp_path: Path, source: str, kind: str
) -> None:
    """A whole one, and a last one of a single record, with columns to keep."""
    texts = [""] * 128 + texts_of(128) + [""]
    table = pa.table({"text": texts, "name": [f"n{place}" for place in range(len(texts))]})
    value = tmp_path / f"in{source}"
    if source == ".jsonl":
        value.write_text("".join(f"{json.dumps(row)}\n" for row in table.to_pylist()))
    elif source == ".csv":
        pa_csv.write_csv(table, value)
    else:
        pq.write_table(table, value)

    meta = embed(value, tmp_path / f"out{kind}", id="name", dtype="int8")

    output = tmp_path / f"out{kind}"
    rows = lines_in(output) if kind == ".jsonl" else pq.read_table(output).to_pylist()
    assert (128, 129) == (meta.rows, meta.rejected)
    assert [f"n{place}" for place in range(128, 256)] == [row["id"] for row in rows]
    vectors = small.encode(texts[128:256])
    assert np.array_equal(dtypes.ranges(vectors), np.array(meta.ranges, np.float32))


def test_a_missing_id_is_a_reject(embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "a", "id": 1}\n{"text": "b"}\n{"text": "c", "id": null}\n')

    embed(tmp_path / "in.jsonl", tmp_path / "out.jsonl", id="id")

    reasons = [line["reason"] for line in lines_in(tmp_path / "out.jsonl.rejects.jsonl")]
    assert ["the id, field 'id', is missing or null"] * 2 == reasons


def test_json_lines_that_other_programs_write(embed: Embed, tmp_path: Path) -> None:
    """A mark before the first, halves of surrogate pairs, and NaN where it does not matter: a vector each.

    Where it matters, the line is rejected, and the reason names it.
    """
    lines = [
        '\ufeff{"text": "first", "id": 1}',
        r'{"text": "cut \ud83d", "id": 2}',
        '{"text": "NaN in \\"x\\": NaN", "id": 3, "score": NaN, "more": [-Infinity, {"a": Infinity}]}',
        '{"text": "a", "id": NaN}',
        '{"text": NaN, "id": 5}',
        '{"text": "a", "id": 6, "kept": {"score": -Infinity}}',
        '{"text": "a", "id": 7, "kept": NaNs}',
        r'{"text": "a", "id": 8, "kept": "\ud83d"}',
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")

    embed(tmp_path / "in.jsonl", tmp_path / "out.jsonl", id="id", keep=("kept",))

    rows = lines_in(tmp_path / "out.jsonl")
    assert [1, 2, 3, 8] == [row["id"] for row in rows]
    assert "\ufffd" == rows[3]["kept"]
    rejects = lines_in(tmp_path / "out.jsonl.rejects.jsonl")
    assert [4, 5, 6, 7] == [reject["line"] for reject in rejects]
    reasons = [reject["reason"] for reject in rejects]
    assert [
        f"a field has {name}, which is not JSON; write null" for name in ("NaN", "NaN", "-Infinity")
    ] == reasons[:3]
    assert "not valid JSON" in reasons[3]
