"""CSV and TSV of every make: quotes, delimiters, encodings, byte order marks, and files without a header."""

import codecs
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import SMALL, at_start, run
from hypothesis import given
from hypothesis import strategies as st

from embed_onnx import Model
from embed_onnx.bulk import inputs, readers
from embed_onnx.bulk.blocks import Block, Position
from embed_onnx.errors import SetupError


def blocks(path: Path, **columns: Any) -> Iterator[Block]:
    result = inputs.find([str(path)], columns.pop("kind", None), **columns)
    readers.check(result)
    return readers.blocks(result, Position())


def texts(path: Path, **columns: Any) -> list[str]:
    return [text for block in blocks(path, **columns) for text in block.texts]


def reasons(path: Path, **columns: Any) -> list[tuple[int, str]]:
    return [(reject.line, reject.reason) for block in blocks(path, **columns) for reject in block.rejects]


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(path: Path, **columns: Any) -> str:
    with pytest.raises(SetupError) as caught:
        texts(path, **columns)
    return str(caught.value)


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


@pytest.mark.parametrize("kind", ["csv", "tsv", "txt", "jsonl"])
@pytest.mark.parametrize(
    ("encoding", "mark", "text"),
    [
        pytest.param("utf-8", b"", "naïve 漢字 😀", id="utf-8"),
        pytest.param("utf-8", codecs.BOM_UTF8, "naïve", id="utf-8-mark"),
        pytest.param("utf-8-sig", b"", "naïve", id="utf-8-sig"),
        pytest.param("utf-16", b"", "naïve 漢字 😀", id="utf-16"),
        pytest.param("utf-16-le", b"", "naïve 漢字 😀", id="utf-16-le"),
        pytest.param("utf-16-be", codecs.BOM_UTF16_BE, "naïve 漢字", id="utf-16-be-mark"),
        pytest.param("utf-32", b"", "naïve 漢字 😀", id="utf-32"),
        pytest.param("latin-1", b"", "naïve £", id="latin-1"),
        pytest.param("cp1252", b"", "naïve “quoted” €", id="cp1252"),
        pytest.param("shift_jis", b"", "日本語 ソ表", id="shift_jis"),  # whose second bytes may be ASCII's
        pytest.param("gb18030", b"", "漢字 😀", id="gb18030"),
    ],
)
def test_encodings(tmp_path: Path, kind: str, encoding: str, mark: bytes, text: str) -> None:
    line = {"csv": f"text,n\n{text},1\n", "tsv": f"text\tn\n{text}\t1\n", "txt": f"{text}\n"}.get(
        kind, f'{{"text": "{text}"}}\n'
    )
    path = written(tmp_path, f"in.{kind}", mark + line.encode(encoding))

    assert [text] == texts(path, encoding=inputs.encoding(encoding))


@pytest.mark.parametrize(
    ("encoding", "content", "expected", "reason"),
    [
        pytest.param("cp1252", b"a\n\x81\nb\n", ["a", "b"], "the line is not valid CP1252", id="cp1252"),
        pytest.param("ascii", b"a\n\xe4\nb\n", ["a", "b"], "the line is not valid ASCII", id="ascii"),
        pytest.param(
            "utf-16-le",
            "a\n".encode("utf-16-le") + b"\x00\xd8\n\x00" + "b\n".encode("utf-16-le"),
            ["a", "b"],
            "the line is not valid UTF-16-LE",
            id="half-of-a-pair",
        ),
        pytest.param(
            "utf-16-le",
            "a\nb\nc".encode("utf-16-le")[:-1],
            ["a", "b"],
            "the line is not valid UTF-16-LE",
            id="cut",
        ),
    ],
)
def test_bytes_of_another_encoding_are_a_reject(
    tmp_path: Path, encoding: str, content: bytes, expected: list[str], reason: str
) -> None:
    path = written(tmp_path, "in.txt", content)

    assert expected == texts(path, encoding=encoding)
    assert [reason] == [why for _, why in reasons(path, encoding=encoding)]


@pytest.mark.parametrize(
    ("content", "encoding", "sentence"),
    [
        pytest.param("a\n".encode("utf-16"), "utf-8", "add --encoding utf-16", id="utf-16"),
        pytest.param("a\n".encode("utf-32"), "utf-8", "add --encoding utf-32", id="utf-32"),
        pytest.param("a\n".encode("utf-16"), "cp1252", "would be read as CP1252", id="utf-16-as-cp1252"),
        pytest.param("ä\n".encode("utf-8-sig"), "cp1252", "add --encoding utf-8", id="utf-8-as-cp1252"),
        pytest.param(codecs.BOM_UTF16_BE + b"\0a\0\n", "utf-16-le", "add --encoding utf-16", id="turned"),
        pytest.param("text\n".encode("utf-16-le"), "utf-8", "has bytes of zero", id="utf-16-without-mark"),
        pytest.param("text\n".encode("utf-16-be"), "utf-8", "has bytes of zero", id="utf-16-be-without-mark"),
    ],
)
@pytest.mark.parametrize("kind", ["txt", "csv", "tsv", "jsonl"])
def test_an_encoding_that_cannot_be_is_refused(
    tmp_path: Path, kind: str, content: bytes, encoding: str, sentence: str
) -> None:
    """Rather than vectors of garbage."""
    assert sentence in refused(written(tmp_path, f"in.{kind}", content), encoding=encoding)


def test_a_header_of_another_encoding_is_a_sentence(tmp_path: Path) -> None:
    path = written(tmp_path, "in.csv", "größe,größer\n1,2\n".encode("latin-1"))

    sentence = refused(path)

    assert "say what it is with --encoding" in sentence
    assert sentence.encode()
    assert ["2"] == texts(path, encoding="latin-1", field="größer")


@pytest.mark.parametrize("word", ["no-such", "", "hex", "rot13", "base64", "no\0pe"])
def test_what_is_not_an_encoding(word: str) -> None:
    with pytest.raises(SetupError, match="is not known; give one such as utf-8"):
        inputs.encoding(word)


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


@given(st.data())
def test_reading_goes_on_at_any_record(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Of any encoding, with a header or without one."""
    folder = tmp_path_factory.mktemp("on")
    encoding = data.draw(st.sampled_from(["utf-8", "utf-16", "cp1252"]))
    header = data.draw(st.booleans())
    expected = data.draw(st.lists(st.text('abé"; ', min_size=1, max_size=6), max_size=12))
    lines = ["n\ttext"] * header + [f"1\t{text}" for text in expected]
    (folder / "in.tsv").write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))
    field = "text" if header else "2"
    actual = inputs.find([str(folder / "in.tsv")], None, header=header, encoding=encoding, field=field)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(readers, "BLOCK_RECORDS", data.draw(st.integers(1, 4)))
        whole = list(readers.blocks(actual, Position()))
        assert expected == [text for block in whole for text in block.texts]
        for block in whole:
            rest = [text for later in readers.blocks(actual, block.after) for text in later.texts]
            assert expected[block.after.index :] == rest


@pytest.mark.parametrize("ending", ["txt", "tsv", "csv", "jsonl"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("last", ["", "\r"])
def test_files_of_carriage_returns_alone_are_refused(
    tmp_path: Path, ending: str, encoding: str, last: str
) -> None:
    """Excel writes such for Macintosh; all of it would be one text."""
    path = written(tmp_path, f"in.{ending}", f"text\rone\rtwo{last}".encode(encoding))

    assert "has carriage returns and no line feeds" in refused(path, encoding=encoding)


def test_carriage_returns_among_line_feeds_belong_to_texts(tmp_path: Path) -> None:
    """As progress bars leave them in logs; a lone one at the end is the end of the only line."""
    assert ["10%\r20%", "b"] == texts(written(tmp_path, "log.txt", "10%\r20%\r\nb\n"))
    assert ["a"] == texts(written(tmp_path, "one.txt", "a\r"))
    bad = written(tmp_path, "in.csv", 'text\n"a\rb"\na\rb\nc\n')
    assert ["a\rb", "c"] == texts(bad)
    assert [(3, "the row, up to line 3, is not valid CSV: a carriage return outside quotes")] == reasons(bad)


@pytest.mark.parametrize("name", ["in.csv", "in.tsv", "in.csv.gz"])
def test_a_table_of_nothing_is_called_empty(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name, b"")

    assert f"{path} is empty, and has not even a header; leave it out" == refused(path)
    assert [] == texts(path, header=False, field="1")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("kind", ["txt", "csv", "jsonl"])
def test_an_encoding_whose_mark_is_missing(tmp_path: Path, encoding: str, kind: str) -> None:
    path = written(tmp_path, "in", "text\na\n".encode(f"{encoding}-be"))

    log = refused(path, kind=kind, encoding=encoding)

    assert f"{path} has no byte order mark, with which {encoding.upper()} begins" in log
    assert f"--encoding {encoding}-le or {encoding}-be" in log


@pytest.mark.parametrize("word", ["idna", "punycode"])
def test_encodings_of_names_are_none_of_texts(word: str) -> None:
    with pytest.raises(SetupError, match=f"--encoding '{word}' is not known"):
        inputs.encoding(word)
