"""Files in, vectors out: every kind of file, bad records, runs that are killed, and what is refused."""

import contextlib
import gzip
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from harness import SMALL, START_SECONDS, clean_environment, run, until
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers.util.quantization import quantize_embeddings
from small_models import MAX_TOKENS, WIDTH

from embed_onnx import Model
from embed_onnx.bulk import inputs, journal, lines, parquet, readers
from embed_onnx.bulk.readers import Block, Position
from embed_onnx.bulk.run import Choice, Target, embed_files, embed_texts
from embed_onnx.bulk.writers import Meta
from embed_onnx.engine import dtypes
from embed_onnx.errors import SetupError
from embed_onnx.settings import Settings

KINDS = [".npy", ".jsonl", ".parquet"]
WORDS = ["a", "small", "model", "reads", "few", "words", "and", "learns", "where", "they", "end"]
IMPATIENT = """
from embed_onnx.cli import main as cli
from embed_onnx.bulk import journal
journal.COMMIT_SECONDS = 0.02
cli.main()
"""
"""The program, which commits so often that a test need not wait."""
INTERRUPTIBLE = f"import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n{IMPATIENT}"
"""The same where whoever started the tests ignores interrupts."""
FRAGILE = """
import os, sys
from embed_onnx.cli import main as cli
from embed_onnx.bulk import journal
journal.COMMIT_SECONDS = 0
steps = int(sys.argv.pop(1))
def fragile(call):
    def step(*given, **named):
        global steps
        steps -= 1
        if steps == 0:
            os._exit(9)
        return call(*given, **named)
    return step
os.fsync, os.rename, os.replace = fragile(os.fsync), fragile(os.rename), fragile(os.replace)
os.unlink, os.rmdir = fragile(os.unlink), fragile(os.rmdir)
cli.main()
"""
"""The program, which ends at once at the n-th call that changes what is on the disk for good."""
PEAK = """
import atexit, pathlib
from embed_onnx.cli import main as cli
status = pathlib.Path("/proc/self/status")
atexit.register(lambda: print(next(line.split()[1] for line in status.open() if line.startswith("VmHWM"))))
cli.main()
"""
"""The program, which says how many kB it had in memory at most."""

Embed = Callable[..., Meta]


@pytest.fixture
def embed(home: Path) -> Embed:
    """Embed files by the small model, in this process."""

    def embed(names: Path | list[str], output: Path, **flags: Any) -> Meta:
        columns = {name: flags.pop(name) for name in ("field", "id", "keep") if name in flags}
        places = {name: flags.pop(name) for name in ("force", "restart") if name in flags}
        knobs = {name: flags.pop(name) for name in ("truncate", "literal_special_tokens") if name in flags}
        chosen = Settings(artifacts=home / "artifacts", models=home / "models.txt", **knobs)
        names = [str(names)] if isinstance(names, Path) else names
        found = inputs.find(names, flags.pop("kind", None), output=output, **columns)
        choice = Choice(settings=chosen, **{"model": SMALL} | flags)
        return embed_files(found, Target(output=output, **places), choice)

    return embed


def texts_of(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, 20))) for _ in range(count)]


def write_lines(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def vectors_in(output: Path) -> np.ndarray:
    """Of any kind of output, [rows, width]."""
    if output.suffix == ".npy":
        return np.load(output, mmap_mode="r")
    if output.suffix == ".jsonl":
        return np.array([line["embedding"] for line in lines_in(output)], np.float32)
    column = pq.read_table(output).column("embedding").combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), -1)


def lines_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def beside(output: Path) -> set[str]:
    """The files of an output but for itself, by suffix."""
    return {path.name.removeprefix(output.name) for path in output.parent.glob(f"{output.name}?*")}


def started(*arguments: str, cwd: Path, program: str = IMPATIENT) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=cwd,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_the_models_vectors_in_order(embed: Embed, small: Model, tmp_path: Path, kind: str) -> None:
    """More rows than are in flight; prompt and dimensions as asked for."""
    texts = texts_of(1500)
    output = tmp_path / f"out{kind}"

    meta = embed(write_lines(tmp_path / "in.txt", texts), output, prompt_name="query", dimensions=16)

    expected = small.encode(texts, prompt_name="query", dimensions=16)
    assert np.array_equal(expected, vectors_in(output))
    assert (1500, 0, 16, SMALL) == (meta.rows, meta.rejected, meta.dimensions, meta.model)
    assert {".npy": {".index.npy", ".meta.json"}, ".jsonl": {".meta.json"}, ".parquet": set()}[
        kind
    ] == beside(output)


def test_a_result_says_what_made_it(embed: Embed, small: Model, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.txt", texts_of(3))

    found = [embed(source, tmp_path / f"out{kind}", dimensions=8) for kind in KINDS]

    raw = pq.read_schema(tmp_path / "out.parquet").metadata[b"embed_onnx"]
    said = [
        msgspec.json.decode((tmp_path / f"out{kind}.meta.json").read_bytes(), type=Meta) for kind in KINDS[:2]
    ]
    said.append(msgspec.json.decode(raw, type=Meta))
    assert found == said
    for meta in said:
        assert (SMALL, "checkpoint", "int8", "text: ") == (meta.model, meta.repo, meta.precision, meta.prompt)
        assert small.manifest.sha256["model.onnx"] == meta.artifact
        assert small.kernels.runs_on == meta.runs_on


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

    found = pq.read_table(output)
    assert ["index", "id", "tags", "when", "num_tokens", "truncated", "embedding"] == found.column_names
    assert table["number"].combine_chunks() == found["id"].combine_chunks()
    assert table["tags"].to_pylist() == found["tags"].to_pylist()
    assert table.schema.field("when").type == found.schema.field("when").type
    assert (
        pa.list_(pa.field("element", pa.float32(), nullable=False), WIDTH)
        == found.schema.field("embedding").type
    )
    assert np.array_equal(small.encode(texts), vectors_in(output))


@pytest.mark.parametrize("kind", [".jsonl", ".parquet"])
def test_fields_of_json_lines_are_kept_as_they_are_written(embed: Embed, tmp_path: Path, kind: str) -> None:
    """JSON has no types of columns: in Parquet they are strings, and in JSON lines nothing changes."""
    rows = ['{"text": "one", "id": 12345678901234567890, "more": {"a": [1.50]}}', '{"id":"x","text":"two"}']
    (tmp_path / "in.jsonl").write_text("\n".join(rows) + "\n")

    embed(tmp_path / "in.jsonl", tmp_path / f"out{kind}", id="id", keep=("more",))

    if kind == ".parquet":
        found = pq.read_table(tmp_path / "out.parquet").select(["id", "more"]).to_pylist()
        assert [
            {"id": "12345678901234567890", "more": '{"a": [1.50]}'},
            {"id": "x", "more": None},
        ] == found
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

    found = [(line["id"], line["score"], line["n"]) for line in lines_in(tmp_path / "out.jsonl")]
    assert [("1970-01-01", 1.5, 1), ("1970-01-02", None, None)] == found


def test_files_and_globs_are_one_input(embed: Embed, small: Model, tmp_path: Path) -> None:
    """In the order given, a glob sorted; compressed or not; indexes count on."""
    parts = [texts_of(200, seed) for seed in range(3)]
    (tmp_path / "b").mkdir()
    for name, part in zip(("b/1.txt.gz", "b/2.txt.gz"), parts[:2], strict=True):
        (tmp_path / name).write_bytes(gzip.compress("".join(f"{text}\r\n" for text in part).encode()))
    write_lines(tmp_path / "a.txt", parts[2])

    embed([str(tmp_path / "b/*.gz"), str(tmp_path / "a.txt")], tmp_path / "out.npy")

    assert np.array_equal(small.encode(parts[0] + parts[1] + parts[2]), np.load(tmp_path / "out.npy"))
    assert list(range(600)) == np.load(tmp_path / "out.npy.index.npy").tolist()


def test_standard_input(home: Path, tmp_path: Path, small: Model) -> None:
    output = tmp_path / "out.npy"
    rows = 'text,n\r\n"two\r\nlines",1\r\nplain,2\r\n'

    flags = ["--model", SMALL, "--format", "csv", "-o", str(output)]
    done = run("embed", "-", *flags, cwd=home, stdin=rows)

    assert (0, "") == (done.returncode, done.stdout), done.stderr
    assert "2 rows" in done.stderr
    assert np.array_equal(small.encode(["two\nlines", "plain"]), np.load(output))


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
    given = tmp_path / f"in{source}"
    if source == ".jsonl":
        given.write_text("".join(f"{json.dumps(row)}\n" for row in table.to_pylist()))
    elif source == ".csv":
        pa_csv.write_csv(table, given)
    else:
        pq.write_table(table, given)

    meta = embed(given, tmp_path / f"out{kind}", id="name", dtype="int8")

    output = tmp_path / f"out{kind}"
    rows = lines_in(output) if kind == ".jsonl" else pq.read_table(output).to_pylist()
    assert (128, 129) == (meta.rows, meta.rejected)
    assert [f"n{place}" for place in range(128, 256)] == [row["id"] for row in rows]
    vectors = small.encode(texts[128:256])
    assert np.array_equal(dtypes.ranges(vectors), np.array(meta.ranges, np.float32))


def test_int8_of_one_text_is_refused(embed: Embed, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.txt", ["", "one"])

    assert "int8 takes ranges over many texts" in refused(embed, source, tmp_path / "out.npy", dtype="int8")


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
        found = pq.read_table(output)
        assert ["red"] == found["list"][0].as_py()
        assert table["far"].cast(found["far"].type) == found["far"]
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
    given = inputs.find([str(tmp_path / "in.parquet")], None, keep=("body",))

    sizes = [block.columns[0].nbytes for block in readers.blocks(given, Position())]
    embed(tmp_path / "in.parquet", tmp_path / "out.parquet", keep=("body",))

    assert max(sizes) < 2 * readers.BLOCK_SIZE
    made = pq.ParquetFile(tmp_path / "out.parquet")
    assert made.num_row_groups > 5
    assert table["body"] == made.read()["body"]


def test_a_glob_leaves_out_what_belongs_to_the_output(embed: Embed, tmp_path: Path) -> None:
    """So the same command goes on, or finds that it is done."""
    write_lines(tmp_path / "in.jsonl", ['{"text": "a"}', "{"])
    write_lines(tmp_path / "out.jsonl.more.jsonl", ['{"text": "b"}'])
    output = tmp_path / "out.jsonl"

    first = embed([f"{tmp_path}/**/*.jsonl"], output)

    assert (2, 1) == (first.rows, first.rejected)
    assert first == embed([f"{tmp_path}/**/*.jsonl"], output)


def test_a_link_is_what_its_name_says(embed: Embed, tmp_path: Path) -> None:
    """As in a cache whose files have hashes for names."""
    (tmp_path / "blob").write_text('{"text": "a"}\n')
    (tmp_path / "in.jsonl").symlink_to(tmp_path / "blob")
    (tmp_path / "again.jsonl").symlink_to(tmp_path / "blob")

    assert 1 == embed(tmp_path / "in.jsonl", tmp_path / "out.npy").rows
    with pytest.raises(SetupError, match=r"again.jsonl is given twice"):
        inputs.find([str(tmp_path / "in.jsonl"), str(tmp_path / "again.jsonl")], None)


def test_an_interrupt_keeps_what_was_done(home: Path, tmp_path: Path) -> None:
    """It ends at once, without a traceback, and the same command goes on."""
    source, output = write_lines(tmp_path / "in.txt", texts_of(8000)), tmp_path / "out.npy"
    command = ["embed", str(source), "--model", SMALL, "-o", str(output)]
    journal = tmp_path / "out.npy.partial/journal.json"
    process = started(*command, cwd=home, program=INTERRUPTIBLE)
    until(lambda: journal.exists() and json.loads(journal.read_bytes()).get("rows", 0))
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=START_SECONDS)
    interrupted = json.loads(journal.read_bytes())["rows"]

    assert 130 == process.returncode
    assert told.endswith("stopped by SIGINT; the same command goes on from here\n")
    assert 0 < interrupted < 8000
    assert 0 == run(*command, cwd=home).returncode
    assert 8000 == len(np.load(output, mmap_mode="r"))


def test_a_damaged_archive_is_named(embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "in.csv.gz").write_bytes(b"\x1f\x8b\x08")

    assert f"{tmp_path / 'in.csv.gz'} is damaged" in refused(
        embed, tmp_path / "in.csv.gz", tmp_path / "out.npy"
    )


def test_a_missing_id_is_a_reject(embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "a", "id": 1}\n{"text": "b"}\n{"text": "c", "id": null}\n')

    embed(tmp_path / "in.jsonl", tmp_path / "out.jsonl", id="id")

    reasons = [line["reason"] for line in lines_in(tmp_path / "out.jsonl.rejects.jsonl")]
    assert ["the id, field 'id', is missing or null"] * 2 == reasons


def test_texts_that_are_cut_are_counted(embed: Embed, small: Model, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.txt", ["short", "long " * 100, "short again"])

    meta = embed(source, tmp_path / "out.jsonl")

    found = [(line.get("truncated"), line["num_tokens"]) for line in lines_in(tmp_path / "out.jsonl")]
    assert 1 == meta.truncated
    assert (True, MAX_TOKENS) == found[1]
    assert [None, None] == [found[0][0], found[2][0]]


def test_texts_that_must_not_be_cut_are_rejects(embed: Embed, small: Model, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.txt", ["short", "long " * 100, "short again"])

    meta = embed(source, tmp_path / "out.npy", truncate=False)

    (reject,) = lines_in(tmp_path / "out.npy.rejects.jsonl")
    assert (2, 1) == (meta.rows, meta.rejected)
    assert (1, 2) == (reject["index"], reject["line"])
    assert f"maximum context length is {MAX_TOKENS} tokens" in reject["reason"]
    assert np.array_equal(small.encode(["short", "short again"]), np.load(tmp_path / "out.npy"))


def test_exit_codes(home: Path, tmp_path: Path) -> None:
    """0: all is embedded; 2: but for some records; 1: the run failed."""
    write_lines(tmp_path / "good.txt", ["a"])
    write_lines(tmp_path / "bad.txt", ["a", ""])
    flags = ["--model", SMALL, "-o", str(tmp_path / "out.jsonl"), "--force"]

    codes = [run("embed", str(tmp_path / f"{name}.txt"), *flags, cwd=home) for name in ("bad", "good", "no")]
    wrong_flag = run("embed", "--nonsense", cwd=home)

    assert [2, 0, 1, 1] == [done.returncode for done in (*codes, wrong_flag)]
    assert "1 records were rejected, see" in codes[0].stderr
    assert {".meta.json"} == beside(tmp_path / "out.jsonl")  # the rejects of the run before are gone


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "ubinary"])
@pytest.mark.parametrize("kind", KINDS)
def test_dtypes_are_those_of_sentence_transformers(
    embed: Embed, small: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, dtype: str
) -> None:
    """int8 takes its ranges over the first rows and stores them; both round-trip through the file."""
    monkeypatch.setattr("embed_onnx.bulk.run.CALIBRATION_ROWS", 500)
    texts = texts_of(900)

    meta = embed(write_lines(tmp_path / "in.txt", texts), tmp_path / f"out{kind}", dtype=dtype, dimensions=20)

    vectors = small.encode(texts, dimensions=20)
    if dtype == "float16":
        expected = vectors.astype(np.float16)
    else:
        expected = quantize_embeddings(
            vectors, dtype, ranges=None if meta.ranges is None else np.array(meta.ranges, np.float32)
        )
    found = vectors_in(tmp_path / f"out{kind}")
    assert np.array_equal(expected, found)
    if kind != ".jsonl":
        assert expected.dtype == found.dtype
    if dtype == "int8":
        assert meta.calibration_rows == 512  # whole blocks
        assert np.array_equal(dtypes.ranges(vectors[:512]), np.array(meta.ranges, np.float32))
    else:
        assert meta.ranges is None


def test_no_rows_at_all(embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(b"")

    rows = [
        embed(tmp_path / "in.txt", tmp_path / f"{dtype}.npy", dtype=dtype).rows
        for dtype in ("float32", "int8")
    ]

    assert [0, 0] == rows
    assert (0, WIDTH) == np.load(tmp_path / "float32.npy").shape == np.load(tmp_path / "int8.npy").shape


def refused(embed: Embed, *given: Any, **flags: Any) -> str:
    with pytest.raises(SetupError) as caught:
        embed(*given, **flags)
    return str(caught.value)


def begun(embed: Embed, source: Path, output: Path, monkeypatch: pytest.MonkeyPatch, **flags: Any) -> None:
    """Leave an unfinished run behind, of some rows."""
    with monkeypatch.context() as patched:
        patched.setattr(journal, "COMMIT_SECONDS", 0)
        patched.setattr(journal.Journal, "finish", lambda *_: (_ for _ in ()).throw(SetupError("stop")))
        assert "stop" == refused(embed, source, output, **flags)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"dimensions": 8}, "dimensions was 32 and is 8"),
        ({"dtype": "int8"}, "dtype was 'float32' and is 'int8'"),
        ({"prompt_name": "query"}, "prompt was 'text: ' and is 'search for: '"),
        ({"truncate": False}, "truncate was True and is False"),
        ({"literal_special_tokens": True}, "literal_special_tokens was False and is True"),
    ],
)
def test_another_command_does_not_go_on(
    embed: Embed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: dict[str, Any], named: str
) -> None:
    """It says what is different and what to do; --restart begins again."""
    source, output = write_lines(tmp_path / "in.txt", texts_of(300)), tmp_path / "out.npy"
    begun(embed, source, output, monkeypatch)

    sentence = refused(embed, source, output, **flags)

    assert named in sentence
    assert "--restart" in sentence
    assert not output.exists()
    assert 300 == embed(source, output, **flags, restart=True).rows


def test_another_input_does_not_go_on(embed: Embed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, output = write_lines(tmp_path / "in.txt", texts_of(300)), tmp_path / "out.npy"
    other = write_lines(tmp_path / "other.txt", texts_of(300))
    begun(embed, source, output, monkeypatch)

    assert f"the input {other} is new" in refused(embed, other, output)
    assert "the input" in refused(embed, [str(source), str(other)], output)
    with source.open("a") as file:
        file.write("one more\n")
    assert f"{source} has changed" in refused(embed, source, output)


def test_a_finished_output_is_kept(embed: Embed, tmp_path: Path) -> None:
    """The same command finds nothing to do; another needs --force."""
    source, output = write_lines(tmp_path / "in.txt", texts_of(30)), tmp_path / "out.parquet"
    meta = embed(source, output)
    before = output.stat().st_mtime_ns

    assert meta == embed(source, output)
    assert before == output.stat().st_mtime_ns
    assert "--force" in refused(embed, source, output, dimensions=8)
    assert 8 == embed(source, output, dimensions=8, force=True).dimensions
    assert (30, 8) == vectors_in(output).shape


def test_an_output_that_is_not_ours_is_kept(embed: Embed, tmp_path: Path) -> None:
    source, output = write_lines(tmp_path / "in.txt", ["a"]), tmp_path / "out.npy"
    output.write_bytes(b"precious")

    assert "exists; --force overwrites it" in refused(embed, source, output)
    assert b"precious" == output.read_bytes()


def test_one_process_at_an_output(embed: Embed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, output = write_lines(tmp_path / "in.txt", texts_of(30)), tmp_path / "out.npy"

    with journal._locked(output):
        sentence = refused(embed, source, output)

    assert f"another process is writing {output}" in sentence


def test_a_damaged_journal_is_refused(embed: Embed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, output = write_lines(tmp_path / "in.txt", texts_of(300)), tmp_path / "out.npy"
    begun(embed, source, output, monkeypatch)
    (tmp_path / "out.npy.partial/vectors.npy").write_bytes(b"")

    assert "is shorter than its journal says" in refused(embed, source, output)
    (tmp_path / "out.npy.partial/journal.json").write_bytes(b"{")
    assert "cannot be read" in refused(embed, source, output)
    assert 300 == embed(source, output, restart=True).rows


@pytest.mark.parametrize(
    ("content", "flags", "sentence"),
    [
        ({"in.txt": b"a"}, {"id": "n"}, "lines of text have none"),
        ({"in.csv": b"a,b\n1,2\n"}, {}, "0 columns 'text' and must have one; its header is a, b"),
        ({"in.csv": b"text,text\n1,2\n"}, {}, "2 columns 'text'"),
        ({"in.csv": b""}, {}, "is empty, and has not even a header; leave it out"),
        ({"in.parquet": b"no"}, {}, "cannot be read as Parquet"),
        ({"in.jsonl": b"{}"}, {"keep": ("embedding",)}, "has a column 'embedding' of its own"),
        ({"in.jsonl": b"{}"}, {"id": "n", "output": "out.npy"}, "a .npy file holds vectors alone"),
        ({"in.txt": b"a"}, {"output": "out.csv"}, "must end in .npy, .jsonl, .parquet"),
        ({"in.txt": b"a"}, {"output": "no/out.npy"}, "there is no folder"),
        ({"in.log": b"a"}, {}, "say what it is with --format"),
        ({"in.txt": b"a", "in.csv": b"text\na\n"}, {}, "embed one kind at a time"),
        ({"in.txt.gz": b"no gzip"}, {}, "is damaged after line 0"),
        ({"out.parquet.rejects.jsonl": b"{}"}, {}, "belongs to the output"),
        ({"in.txt": "a\nb".encode("utf-16")}, {}, "would be read as UTF-8; add --encoding utf-16"),
    ],
)
def test_mistakes(
    embed: Embed, tmp_path: Path, content: dict[str, bytes], flags: dict[str, Any], sentence: str
) -> None:
    for name, raw in content.items():
        (tmp_path / name).write_bytes(raw)
    output = tmp_path / flags.pop("output", "out.parquet")

    assert sentence in refused(embed, [str(tmp_path / name) for name in content], output, **flags)
    assert not output.exists()


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"other": ["a"]}, "has no single column 'text'; its columns are other"),
        ({"text": [1]}, "the column 'text' is of type int64, and texts are strings or binary"),
    ],
)
def test_parquet_without_texts(embed: Embed, tmp_path: Path, columns: dict[str, Any], sentence: str) -> None:
    pq.write_table(pa.table(columns), tmp_path / "in.parquet")

    assert sentence in refused(embed, tmp_path / "in.parquet", tmp_path / "out.npy")


def test_parquet_files_must_agree(embed: Embed, tmp_path: Path) -> None:
    for name, keys in (("1", [1]), ("2", ["x"])):
        pq.write_table(pa.table({"text": ["a"], "key": keys}), tmp_path / f"{name}.parquet")

    given = [str(tmp_path / "*.parquet")]
    assert "different types" in refused(embed, given, tmp_path / "out.jsonl", id="key")
    assert 2 == embed(given, tmp_path / "out.jsonl").rows


def test_a_pipe_is_for_standard_input(tmp_path: Path) -> None:
    """It cannot be read twice, and what ``<(...)`` makes is one."""
    os.mkfifo(tmp_path / "in.txt")

    with pytest.raises(SetupError, match=r"in\.txt is a pipe, which can be read only once"):
        inputs.find([str(tmp_path / "in.txt")], None)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["nowhere/*.txt"], "does not exist, and matches no file"),
        (["-", "-"], "- is given twice"),
        (["."], "is a folder"),
    ],
)
def test_names_that_are_no_input(given: list[str], sentence: str) -> None:
    with pytest.raises(SetupError, match=sentence):
        inputs.find(given, None)


def test_parquet_needs_its_extra(home: Path, tmp_path: Path) -> None:
    """Without pyarrow, a sentence names the extra; .npy goes without."""
    (tmp_path / "pyarrow.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'pyarrow'\", name='pyarrow')"
    )
    write_lines(tmp_path / "in.txt", ["a"])
    command = [sys.executable, "-m", "embed_onnx", "embed", str(tmp_path / "in.txt"), "--model", SMALL, "-o"]
    path = {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}

    codes, errors = [], []
    for kind in (".parquet", ".npy"):
        done = subprocess.run(
            [*command, str(tmp_path / f"out{kind}")],
            cwd=home,
            env=clean_environment() | path,
            capture_output=True,
            text=True,
            check=False,
        )
        codes.append(done.returncode)
        errors.append(done.stderr)

    assert [1, 0] == codes, errors
    assert "pip install 'embed-onnx[bulk]'" in errors[0]


BAD = {
    "txt": ["", "\udcff"],
    "jsonl": ['{"text": ""}', "{", '{"text": 1}', "[]"],
    "csv": ['"a"b', "a,b,c", ""],
}
GOOD: dict[str, Callable[[str], str]] = {
    "txt": str,
    "jsonl": lambda text: json.dumps({"text": text}),
    "csv": lambda text: f'1,"{text}"',
}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_every_record_comes_once_in_order_from_wherever_one_begins(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Over any sizes of blocks and files, and any bad records between the good."""
    kind = data.draw(st.sampled_from(sorted(GOOD)))
    folder = tmp_path_factory.mktemp("once")
    text = st.text("ab\u00e9 ", min_size=1, max_size=5)
    record = st.one_of(text.map(GOOD[kind]), st.sampled_from(BAD[kind]))
    parts = data.draw(st.lists(st.lists(record, max_size=12), min_size=1, max_size=3))
    for number, part in enumerate(parts):
        lines = ["n,text", *part] if kind == "csv" else part
        content = "".join(f"{line}\n" for line in lines)
        (folder / f"{number}.{kind}").write_bytes(content.encode("utf-8", "surrogateescape"))
    found = inputs.find([f"{folder}/*"], None)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(readers, "BLOCK_RECORDS", data.draw(st.integers(1, 5)))
        blocks = list(readers.blocks(found, Position()))
        whole = records(iter(blocks))
        for block in blocks:
            patched.setattr(readers, "BLOCK_RECORDS", data.draw(st.integers(1, 5)))
            rest = records(readers.blocks(found, block.after))
            assert whole[block.after.index :] == rest

    expected = [line for part in parts for line in part]
    assert list(range(len(expected))) == [index for index, _, _ in whole]
    for (_, _, got), line in zip(whole, expected, strict=True):
        assert (got is None) == (line in BAD[kind])
        assert got is None or GOOD[kind](got) == line


def records(blocks: Iterator[Block]) -> list[tuple[int, int, str | None]]:
    """Index, line and text of all records; None for a reject."""
    found: list[tuple[int, int, str | None]] = []
    for block in blocks:
        some = [(reject.index, reject.line, None) for reject in block.rejects]
        found += sorted(
            [*some, *zip(block.indexes, block.lines, block.texts, strict=True)], key=lambda record: record[0]
        )
    return found


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 60), st.integers(1, 7))
def test_parquet_is_read_on_from_any_row(
    tmp_path_factory: pytest.TempPathFactory, groups: list[int], skip: int, rows: int
) -> None:
    path = tmp_path_factory.mktemp("groups") / "in.parquet"
    schema = pa.schema([("text", pa.string())])
    texts = [str(number) for number in range(sum(groups))]
    left = iter(texts)
    with pq.ParquetWriter(path, schema) as writer:
        for group in groups:
            writer.write_table(pa.table({"text": [next(left) for _ in range(group)]}, schema=schema))
    skip = min(skip, len(texts))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(readers, "BLOCK_RECORDS", rows)
        found = list(readers.blocks(inputs.find([str(path)], None), Position(0, skip, skip)))

    assert texts[skip:] == [text for block in found for text in block.texts]
    assert all(len(block.texts) <= rows for block in found)


@pytest.mark.parametrize(
    ("source", "kind", "dtype"),
    [
        (".txt", ".npy", "float16"),
        (".csv", ".jsonl", "int8"),
        (".parquet", ".parquet", "int8"),
    ],
)
def test_killed_and_run_again_until_it_ends(
    home: Path, tmp_path: Path, source: str, kind: str, dtype: str
) -> None:
    """kill -9 at random moments of the work: the output is that of a run which nobody killed, to the byte."""
    rng = random.Random(kind)
    texts = texts_of(6000)
    for place in range(0, 6000, 97):
        texts[place] = ""
    given, output, whole = tmp_path / f"in{source}", tmp_path / f"out{kind}", tmp_path / f"w{kind}"
    columns = write_input(given, texts)
    command = ["embed", str(given), *columns, "--model", SMALL, "--dtype", dtype, "-o"]

    kills = 0
    for _ in range(5):
        kills += kill_at_work([*command, str(output)], output, home, rng.random() * 0.15)
    done = started(*command, str(output), cwd=home)
    _, told = done.communicate(timeout=START_SECONDS)
    assert 2 == done.returncode, told
    assert 2 == run(*command, str(whole), cwd=home).returncode

    assert kills >= 2
    assert whole.read_bytes() == output.read_bytes()
    assert beside(whole) == beside(output)
    for suffix in beside(whole):
        assert Path(f"{whole}{suffix}").read_bytes() == Path(f"{output}{suffix}").read_bytes()


def write_input(path: Path, texts: list[str]) -> list[str]:
    """Write texts as a file of the kind that its name says; the flags that choose its columns."""
    if path.suffix == ".txt":
        write_lines(path, texts)
        return []
    table = pa.table({"name": [f"n{place}" for place in range(len(texts))], "text": texts})
    if path.suffix == ".csv":
        pa_csv.write_csv(table, path)
    else:
        pq.write_table(table, path, row_group_size=1000)
    return ["--id", "name"]


def kill_at_work(command: list[str], output: Path, home: Path, seconds: float) -> int:
    """Start a run, kill it after so long at work; 1 if it was at work then."""
    place = Path(f"{output}.partial/journal.json")
    before = place.read_bytes() if place.exists() else b""
    process = started(*command, cwd=home)
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and (not place.exists() or place.read_bytes() == before):
        assert time.monotonic() < end
        time.sleep(0.001)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.kill()
    process.communicate()
    return int(process.returncode == -9)


@pytest.mark.parametrize("kind", KINDS)
def test_ended_at_any_step_of_writing(home: Path, tmp_path: Path, kind: str) -> None:
    """The process is gone at its 2nd, 3rd, ... sync, rename or removal: what follows makes it whole."""
    source, output, whole = (
        write_lines(tmp_path / "in.txt", texts_of(400)),
        tmp_path / f"o{kind}",
        tmp_path / f"w{kind}",
    )
    command = ["embed", str(source), "--model", SMALL, "-o"]
    assert 0 == run(*command, str(whole), cwd=home).returncode

    ended = []
    for steps in [2, 5, 9, *range(4, 40, 3), 100]:
        process = started(str(steps), *command, str(output), cwd=home, program=FRAGILE)
        _, told = process.communicate(timeout=START_SECONDS)
        ended.append(process.returncode)
        assert process.returncode in (0, 9), told
        if output.exists():
            assert whole.read_bytes() == output.read_bytes()
        if process.returncode == 0:
            break

    assert 0 == ended[-1]
    assert len(ended) > 4
    assert beside(whole) == beside(output)


def test_standard_input_goes_on_with_the_same(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed run passes over what it has read; other bytes in its place are refused."""
    output = tmp_path / "out.npy"
    content = "".join(f"{text}\n" for text in texts_of(400))
    command = ["embed", "-", "--model", SMALL, "-o", str(output)]
    program = [sys.executable, "-c", FRAGILE, "22", *command]
    killed = subprocess.run(program, cwd=home, env=clean_environment(), input=content, text=True, check=False)
    assert 9 == killed.returncode

    other = run(*command, cwd=home, stdin="x" + content)
    short = run(*command, cwd=home, stdin="")
    same = run(*command, cwd=home, stdin=content)

    assert [1, 1, 0] == [done.returncode for done in (other, short, same)], same.stderr
    assert "standard input is not what it was before" in other.stderr
    assert 400 == len(np.load(output))


def test_standard_input_of_a_run_that_stopped_at_its_end(home: Path, tmp_path: Path) -> None:
    """All is embedded, and only files are to be renamed; yet other bytes are another input."""
    output = tmp_path / "out.npy"
    command = ["embed", "-", "--model", SMALL, "-o", str(output)]
    (tmp_path / "out.npy.meta.json").mkdir()
    stopped = run(*command, cwd=home, stdin="a\nb\n")
    (tmp_path / "out.npy.meta.json").rmdir()

    more = run(*command, cwd=home, stdin="a\nb\nc\n")
    other = run(*command, cwd=home, stdin="a\nc\n")
    same = run(*command, cwd=home, stdin="a\nb\n")

    assert [1, 1, 1, 0] == [done.returncode for done in (stopped, more, other, same)], same.stderr
    assert "standard input is not what it was before" in more.stderr
    assert "standard input is not what it was before" in other.stderr
    assert 2 == len(np.load(output))


@pytest.mark.parametrize("kind", [".txt", ".parquet"])
def test_memory_does_not_grow_with_the_input(home: Path, tmp_path: Path, kind: str) -> None:
    """Ten times the rows, 60 MB more of text, take hardly more memory."""
    peaks = []
    for rows in (250, 2_500):
        path = tmp_path / f"{rows}{kind}"
        rng = random.Random(rows)
        texts = [" ".join(rng.choices(WORDS, k=5_000)) for _ in range(rows)]
        if kind == ".txt":
            write_lines(path, texts)
        else:
            # A page is read as a whole, and pyarrow looks at its size after so many rows.
            table = pa.table({"text": texts})
            pq.write_table(table, path, compression="none", use_dictionary=False, write_batch_size=32)
        output = tmp_path / f"{rows}.out.npy"
        process = started("embed", str(path), "--model", SMALL, "-o", str(output), cwd=home, program=PEAK)
        out, told = process.communicate(timeout=10 * START_SECONDS)
        assert 0 == process.returncode, told
        peaks.append(int(out) / 1024)

    assert path.stat().st_size > 50e6
    assert peaks[1] < peaks[0] + 45, peaks


def test_texts_of_the_command_line(
    home: Path, small: Model, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    chosen = Settings(artifacts=home / "artifacts", models=home / "models.txt")
    choice = Choice(settings=chosen, model=SMALL, dtype="ubinary")

    embed_texts(["one", "two"], choice)
    with pytest.raises(SetupError, match="text 1: the text is not valid UTF-8; leave it out"):
        embed_texts(["\udcff"], choice)
    sys.stdout.flush()

    lines = [json.loads(line) for line in io.BytesIO(capfdbinary.readouterr().out)]
    assert [0, 1] == [line["index"] for line in lines]
    expected = quantize_embeddings(small.encode(["one", "two"]), "ubinary")
    assert expected.tolist() == [line["embedding"] for line in lines]


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


def test_a_half_is_embedded_as_over_http(embed: Embed, small: Model, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(r'{"text": "cut \ud83d", "x": Infinity}')

    embed(tmp_path / "in.jsonl", tmp_path / "out.jsonl")

    (row,) = lines_in(tmp_path / "out.jsonl")
    assert np.array_equal(small.encode("cut \ufffd"), np.array(row["embedding"], np.float32))
