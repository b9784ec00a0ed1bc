"""Input files of every encoding: byte order marks, bytes of another encoding, and ends of lines."""

import codecs
from pathlib import Path

import pytest
from bulk_reading import reasons, refused, texts, written
from hypothesis import given
from hypothesis import strategies as st

from embed_onnx.bulk import inputs, readers
from embed_onnx.bulk.blocks import Position
from embed_onnx.errors import SetupError


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


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("kind", ["txt", "csv", "jsonl"])
def test_an_encoding_whose_mark_is_missing(tmp_path: Path, encoding: str, kind: str) -> None:
    path = written(tmp_path, "in", "text\na\n".encode(f"{encoding}-be"))

    sentence = refused(path, kind=kind, encoding=encoding)

    assert f"{path} has no byte order mark, with which {encoding.upper()} begins" in sentence
    assert f"--encoding {encoding}-le or {encoding}-be" in sentence


@pytest.mark.parametrize("word", ["idna", "punycode"])
def test_encodings_of_names_are_none_of_texts(word: str) -> None:
    with pytest.raises(SetupError, match=f"--encoding '{word}' is not known"):
        inputs.encoding(word)
