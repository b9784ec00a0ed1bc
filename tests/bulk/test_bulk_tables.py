"""CSV and TSV of every make: quotes, delimiters, and files without a header."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bulk_reading import blocks, reasons, refused, texts, written
from harness import SMALL, at_start, run

from embed_onnx import Model
from embed_onnx.bulk import inputs
from embed_onnx.errors import SetupError


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param('3\t"c\n4\td"\n5\te\n', ['"c', 'd"', "e"], id="open-quote"),
        pytest.param('1\t"a"\n2\t""\n', ['"a"', '""'], id="quotes-around"),
        pytest.param('1\tsize 5" and 6"\n', ['size 5" and 6"'], id="inches"),
        pytest.param("1\tit's, so\n", ["it's, so"], id="comma"),
        pytest.param("1\ta\\tb\\\n2\tc\n", ["a\\tb\\", "c"], id="backslash"),
        pytest.param("1\ta\r\n2\tb", ["a", "b"], id="windows-and-no-last-end"),
        pytest.param("1\ta\u2028b\x0bc\x85\n", ["a\u2028b\x0bc\x85"], id="other-separators"),
    ],
)
def test_tsv_has_no_quotes(tmp_path: Path, rows: str, expected: list[str]) -> None:
    """A line is a record, and a quote is a character like any other."""
    path = written(tmp_path, "in.tsv", f"id\ttext\n{rows}")

    assert expected == texts(path, id="id")


def test_three_records_of_tsv_are_three_vectors(home: Path, tmp_path: Path, small: Model) -> None:
    path = written(tmp_path, "in.tsv", 'id\ttext\n3\t"c\n4\td"\n5\te\n')

    done = run("embed", str(path), "--model", SMALL, "-o", str(tmp_path / "out.npy"), cwd=home)

    assert 0 == done.returncode, done.stderr
    assert np.array_equal(small.encode(['"c', 'd"', "e"]), np.load(tmp_path / "out.npy"))


def test_bad_rows_of_tsv_are_rejects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what matters must be valid: bytes of another column are nobody's concern."""
    monkeypatch.setattr("embed_onnx.bulk.formats.lines.LINE_BYTES", 30)
    long = b"x" * 40
    rows = b"1\ta\n2\n3\tb\tc\n\n5\t\n\xff\tgood\n7\t\xff\n8\t" + long + b"\n9\tlast\n"
    path = written(tmp_path, "in.tsv", b"id\ttext\n" + rows)

    assert ["a", "good", "last"] == texts(path)
    assert [
        (3, "the row has 1 columns and the header 2"),
        (4, "the row has 3 columns and the header 2"),
        (5, "the line is empty"),
        (6, "the text is empty"),
        (8, "the text is not valid UTF-8"),
        (9, "the line is longer than 30 bytes"),
    ] == reasons(path)


def test_tsv_with_quotes_is_csv_with_tabs(tmp_path: Path) -> None:
    """Who writes such files says so; the header names the way."""
    path = written(tmp_path, "in.tsv", '"id"\t"text"\n1\t"two\nlines, ""quoted"""\n')

    assert "add --format csv --delimiter tab" in refused(path)
    assert ['two\nlines, "quoted"'] == texts(path, kind="csv", delimiter="\t")


def test_csv_stays_rfc_4180(tmp_path: Path) -> None:
    path = written(tmp_path, "in.csv", 'id,text\r\n1,"a ""b"", c\r\nd"\r\n2,e\r\n')

    assert ['a "b", c\r\nd', "e"] == texts(path)


@pytest.mark.parametrize("sign", [";", "|", "\t", " ", ":", "\x01", "\u00a7"])
@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_any_delimiter(tmp_path: Path, sign: str, kind: str) -> None:
    path = written(tmp_path, f"in.{kind}", f"id{sign}text\n1{sign}a,b\n")

    assert ["a,b"] == texts(path, delimiter=sign)


@pytest.mark.parametrize("name", ["in.csv", "in.csv.gz"])
@pytest.mark.parametrize(
    ("sign", "named"), [(";", "--delimiter ';'"), ("\t", "--delimiter tab"), ("|", "--delimiter '|'")]
)
@pytest.mark.parametrize("header", [True, False], ids=["header", "no-header"])
def test_another_delimiter_is_not_guessed(
    tmp_path: Path, name: str, sign: str, named: str, header: bool
) -> None:
    """Excel writes ';' in place of commas in many countries: an error names it."""
    content = f"text{sign}n\n1,5{sign}a\n".encode()
    path = written(tmp_path, name, gzip.compress(content) if name.endswith("gz") else content)

    sentence = refused(path, header=header, field="text" if header else "1")

    assert named in sentence
    assert "no ','" in sentence


def test_one_column_may_hold_any_sign(tmp_path: Path) -> None:
    """Below a header that is the text's own column, or where the delimiter was named."""
    path = written(tmp_path, "in.csv", "text\na; b\n")
    bare = written(tmp_path, "bare.csv", "a; b\nc\n")

    assert ["a; b"] == texts(path)
    assert ["a; b", "c"] == texts(bare, header=False, field="1", delimiter=",")


@pytest.mark.parametrize(
    ("word", "expected"), [(";", ";"), ("tab", "\t"), ("\\t", "\t"), ("\t", "\t"), (" ", " ")]
)
def test_words_for_delimiters(word: str, expected: str) -> None:
    assert expected == inputs.delimiter(word)


@pytest.mark.parametrize("word", ["", ";;", '"', "\n", "\r", "\0", "semicolon"])
def test_what_cannot_be_a_delimiter(word: str) -> None:
    with pytest.raises(SetupError, match="is not one character that can be between columns"):
        inputs.delimiter(word)


@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_without_a_header(tmp_path: Path, kind: str) -> None:
    """Columns go by number, and the first row is a record like any other."""
    sign = "," if kind == "csv" else "\t"
    rows = [["d1", "one", "x"], ["d2", "two", "y"], ["d3", "three"], ["d4", "four", "z"]]
    path = written(tmp_path, f"in.{kind}", "".join(f"{sign.join(row)}\n" for row in rows))

    (block,) = blocks(path, header=False, field="2", id="1", keep=("3",))

    assert ["one", "two", "four"] == block.texts
    assert [["d1", "d2", "d4"], ["x", "y", "z"]] == block.columns
    assert [1, 2, 4] == block.lines
    assert [(3, "the row has 2 columns and the first row 3")] == [
        (reject.line, reject.reason) for reject in block.rejects
    ]


def test_without_a_header_a_bad_first_row_is_a_reject(tmp_path: Path) -> None:
    path = written(tmp_path, "in.csv", '\n"a"b,c\nd,e\n')

    assert ["e"] == texts(path, header=False, field="2")
    assert [1, 2] == [line for line, _ in reasons(path, header=False, field="2")]


@pytest.mark.parametrize(
    ("name", "columns", "sentence"),
    [
        ("in.csv", {"header": False}, "'text' is not one; give numbers to --field"),
        ("in.csv", {"header": False, "field": "0"}, "'0' is not one"),
        ("in.csv", {"header": False, "field": "1", "id": "x"}, "'x' is not one"),
        (
            "in.csv",
            {"header": False, "field": "3"},
            "has 2 columns in its first row, and none of the number 3",
        ),
        ("in.txt", {"header": False}, "are for CSV and TSV"),
        ("in.jsonl", {"delimiter": ";"}, "are for CSV and TSV"),
        ("in.parquet", {"encoding": "cp1252"}, "Parquet is always UTF-8"),
    ],
)
def test_what_does_not_go_together(tmp_path: Path, name: str, columns: dict[str, Any], sentence: str) -> None:
    assert sentence in refused(written(tmp_path, name, "1,2\n"), **columns)


@pytest.mark.parametrize(
    ("start", "changed", "named"),
    [
        pytest.param(
            ["--no-header", "--field", "1", "--delimiter", ";"],
            ["--no-header", "--field", "1", "--delimiter", "|"],
            "delimiter was ';' and is '|'",
            id="delimiter",
        ),
        pytest.param(
            ["--encoding", "cp1252"],
            ["--encoding", "latin-1"],
            "encoding was 'cp1252' and is 'iso8859-1'",
            id="encoding",
        ),
        pytest.param(
            [],
            ["--no-header", "--field", "1", "--delimiter", ","],
            "header was True and is False",
            id="header",
        ),
        pytest.param([], ["--format", "tsv"], "kind was 'csv' and is 'tsv'", id="format"),
    ],
)
def test_another_way_to_read_does_not_go_on(
    home: Path, tmp_path: Path, start: list[str], changed: list[str], named: str
) -> None:
    """A run that was stopped goes on with the same options only; a finished output is not theirs either."""
    header = "a;b | c\n" if "--delimiter" in start else "text\n"
    path = written(tmp_path, "in.csv", header + "a;word | more\n" * 300)
    flags = ["embed", str(path), "--model", SMALL, "-o", str(tmp_path / "out.npy")]
    stopped = run(*flags, *start, cwd=home, environment=stop_at_the_end(tmp_path))
    assert 9 == stopped.returncode, stopped.stderr

    other = run(*flags, *changed, cwd=home)
    same = run(*flags, *start, cwd=home)
    finished = run(*flags, *changed, cwd=home)

    assert 1 == other.returncode
    assert named in other.stderr
    assert "--restart" in other.stderr
    assert 0 == same.returncode, same.stderr
    assert 300 + ("--no-header" in start) == len(np.load(tmp_path / "out.npy"))
    assert 1 == finished.returncode
    assert "--force" in finished.stderr


def stop_at_the_end(folder: Path) -> dict[str, str]:
    """An environment in which a run ends, as if killed, before it puts its files in their places."""
    return at_start(
        folder,
        "import os\n"
        "from embed_onnx.bulk import journal\n"
        "finish = journal.Journal.finish\n"
        "journal.Journal.finish = lambda run, meta: (run.commit(), os._exit(9))\n",
    )


def test_standard_input_takes_the_same_options(home: Path, tmp_path: Path, small: Model) -> None:
    flags = ["--format", "csv", "--delimiter", ";", "--no-header", "--field", "2", "--model", SMALL]

    done = run("embed", "-", *flags, "-o", str(tmp_path / "out.npy"), cwd=home, stdin="1;one\n2;two\n")

    assert 0 == done.returncode, done.stderr
    assert np.array_equal(small.encode(["one", "two"]), np.load(tmp_path / "out.npy"))


@pytest.mark.parametrize("name", ["in.csv", "in.tsv", "in.csv.gz"])
def test_a_table_of_nothing_is_called_empty(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name, b"")

    assert f"{path} is empty, and has not even a header; leave it out" == refused(path)
    assert [] == texts(path, header=False, field="1")
