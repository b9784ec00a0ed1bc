"""Texts that the page reads from files, opened or dropped."""

from collections.abc import Callable

import pytest
from browsing import Visit
from playwright.sync_api import expect

DROP = """([name, content]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([content], name));
  for (const type of ["dragover", "drop"]) {
    const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
    document.body.dispatchEvent(new DragEvent(type, options));
  }
}"""


def open_file(seen: Visit, name: str, content: bytes) -> None:
    seen.page.locator("#file").set_input_files({"name": name, "mimeType": "", "buffer": content})


def lines(seen: Visit) -> list[str]:
    return seen.page.get_by_label("Texts, one a line").input_value().split("\n")


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        pytest.param(
            "a.txt", "\ufeffone\r\n\r\n  two words \nnaïve", ["one", "two words", "naïve"], id="lines"
        ),
        pytest.param("README", "# one\ntwo", ["# one", "two"], id="no-suffix"),
        pytest.param(
            "a.csv",
            'id,Text\r\n1,"a ""quoted"", cell"\r\n2,"two\r\nlines"\r\n3,\r\n4,plain\r\n',
            ['a "quoted", cell', "two lines", "plain"],
            id="csv",
        ),
        pytest.param("a.csv", "title\none\ntwo", ["one", "two"], id="csv-of-one-column"),
        pytest.param("a.TSV", "text\tid\none, and more\t1\n", ["one, and more"], id="tsv"),
        pytest.param("a.jsonl", '{"text": "one\\ntwo"}\n\n"three"\n', ["one two", "three"], id="jsonl"),
    ],
)
def test_texts_of_a_file(visit: Callable[..., Visit], name: str, content: str, texts: list[str]) -> None:
    seen = visit()
    open_file(seen, name, content.encode())

    expect(seen.page.locator("#file-note")).to_have_text(f"Read from {name}.")
    assert texts == lines(seen)
    seen.embed()
    assert [texts] == [body["input"] for body in seen.sent()]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        pytest.param(
            "a.csv", b"id,title\n1,x\n", 'A.csv has no column "text"; its first line has id, title.', id="csv"
        ),
        pytest.param("a.csv", b'text\n"open\n', "Row 2 of a.csv has a quote that", id="quote"),
        pytest.param("a.jsonl", b'{"text": "x"}\n{', "Line 2 of a.jsonl is not JSON.", id="json"),
        pytest.param("a.jsonl", b'{"title": "x"}', 'Line 1 of a.jsonl has no field "text"', id="field"),
        pytest.param("a.parquet", b"PAR1\0\0", "A.parquet is not a file of text", id="binary"),
        pytest.param("a.txt", b" \n", "A.txt has no text.", id="empty"),
    ],
)
def test_files_without_texts(visit: Callable[..., Visit], name: str, content: bytes, sentence: str) -> None:
    """The sentence says why, and the texts of before stay."""
    seen = visit()
    before = lines(seen)
    open_file(seen, name, content)

    expect(seen.page.locator("#error")).to_contain_text(sentence)
    assert before == lines(seen)
    open_file(seen, "b.txt", b"one")
    expect(seen.page.locator("#error")).to_be_hidden()


def test_a_dropped_file(visit: Callable[..., Visit]) -> None:
    """Anywhere on the page: the browser does not leave the page to show it."""
    seen = visit(view="search")
    seen.page.evaluate(DROP, ["notes.txt", "one\ntwo"])
    expect(seen.page.locator("#file-note")).to_have_text("Read from notes.txt.")

    assert ["one", "two"] == lines(seen)


def test_a_file_of_many_texts(visit: Callable[..., Visit]) -> None:
    """As many as the page takes, and the rest is not left out in silence."""
    seen = visit()
    open_file(seen, "many.txt", "".join(f"text {number}\n" for number in range(5000)).encode())

    expect(seen.page.locator("#file-note")).to_have_text("The first 2,048 of the 5,000 texts in many.txt.")
    assert 2048 == len(lines(seen))
