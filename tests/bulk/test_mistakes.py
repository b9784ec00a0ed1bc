"""Commands that are refused in one sentence, and inputs that look wrong and are not."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bulk_runs import Embed, refused, write_lines
from harness import SMALL, clean_environment

from embed_onnx import install
from embed_onnx.bulk import inputs
from embed_onnx.errors import SetupError


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


def test_a_damaged_archive_is_named(embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "in.csv.gz").write_bytes(b"\x1f\x8b\x08")

    assert f"{tmp_path / 'in.csv.gz'} is damaged" in refused(
        embed, tmp_path / "in.csv.gz", tmp_path / "out.npy"
    )


def test_an_output_whose_links_go_in_a_circle(embed: Embed, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(b"a")
    (tmp_path / "out.npy").symlink_to("out.npy")

    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        embed(tmp_path / "in.txt", tmp_path / "out.npy")


@pytest.mark.parametrize(
    ("content", "flags", "sentence"),
    [
        ({"in.txt": b"a"}, {"id": "n"}, "lines of text have none"),
        ({"in.csv": b"a,b\n1,2\n"}, {}, "0 columns 'text' and must have one; its header is a, b"),
        ({"in.csv": b"text,text\n1,2\n"}, {}, "2 columns 'text'"),
        ({"in.csv": b""}, {}, "is empty, and has not even a header; leave it out"),
        ({"in.parquet": b"no"}, {}, "cannot be read as Parquet"),
        ({"in.jsonl": b"{}"}, {"keep": ("embedding",)}, "has a column 'embedding' of its own"),
        ({"in.jsonl": b"{}"}, {"id": "n", "output": "out.npy"}, "a .npy file holds numbers alone"),
        ({"in.txt": b"a"}, {"output": "out.csv"}, "must end in .npy, .jsonl, .parquet"),
        ({"in.txt": b"a"}, {"output": "no/out.npy"}, "there is no folder"),
        ({"in.log": b"a"}, {}, "say what it is with --format"),
        ({"in.txt": b"a", "in.csv": b"text\na\n"}, {}, "give files of one kind at a time"),
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

    value = [str(tmp_path / "*.parquet")]
    assert "different types" in refused(embed, value, tmp_path / "out.jsonl", id="key")
    assert 2 == embed(value, tmp_path / "out.jsonl").rows


def test_a_pipe_is_for_standard_input(tmp_path: Path) -> None:
    """It cannot be read twice, and what ``<(...)`` makes is one."""
    os.mkfifo(tmp_path / "in.txt")

    with pytest.raises(SetupError, match=r"in\.txt is a pipe, which can be read only once"):
        inputs.find([str(tmp_path / "in.txt")], None)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (["nowhere/*.txt"], "does not exist, and matches no file"),
        (["-", "-"], "- is given twice"),
        (["."], "is a folder"),
    ],
)
def test_names_that_are_no_input(value: list[str], sentence: str) -> None:
    with pytest.raises(SetupError, match=sentence):
        inputs.find(value, None)


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
    assert install.command("bulk") in errors[0]
