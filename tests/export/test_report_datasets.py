"""Pairs and retrieval tasks that a report is measured with, as their users write them."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from embed_onnx_export.errors import DatasetError
from embed_onnx_export.report import (
    datasets,
)

# Files that are read

ODD = 'odd \u2028 "text"'


def test_pairs(tmp_path: Path) -> None:
    """Quotes, commas, other columns, other line ends and a mark at the beginning are as CSV has them."""
    lines = [
        "sentence2,score,note,sentence1",
        f'"b, ""c""",4.5,x,"{ODD.replace(chr(34), chr(34) * 2)}"',
        "d,0,,e",
    ]
    (tmp_path / "pairs.csv").write_bytes("\r\n".join(lines).encode("utf-8-sig"))

    actual = datasets.read_pairs(tmp_path / "pairs.csv")

    assert ("pairs.csv", [ODD, "e"], ['b, "c"', "d"], [4.5, 0]) == (
        actual.name,
        actual.first,
        actual.second,
        actual.scores,
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(b"", "pairs.csv, line 1 has no column score, sentence1, sentence2; name", id="empty"),
        pytest.param(b"score\tsentence1\tsentence2\n", "with commas between", id="tabs"),
        pytest.param(b"score,sentence1\n1,a\n", "line 1 has no column sentence2", id="column"),
        pytest.param(b"score,sentence1,sentence2\n1,a,b\n2,a\n", "line 3 has not one value", id="short"),
        pytest.param(b"score,sentence1,sentence2\n1,a,b,c\n", "line 2 has not one value", id="long"),
        pytest.param(b"score,sentence1,sentence2\n1,,b\n", "line 2 has not one value", id="blank"),
        pytest.param(b"score,sentence1,sentence2\nhigh,a,b\n", "line 2 has the score 'high'", id="word"),
        pytest.param(b"score,sentence1,sentence2\nnan,a,b\n", "which is not a number", id="nan"),
        pytest.param(b'score,sentence1,sentence2\n1,"a"b,c\n', "line 2 is not CSV", id="quotes"),
        pytest.param(b"score,sentence1,sentence2\n1,a,\xff\n", "line 2 is not UTF-8", id="utf-8"),
        pytest.param(
            b"score,sentence1,sentence2\n", "has 0 pairs and no two different scores", id="no-pairs"
        ),
        pytest.param(
            b"score,sentence1,sentence2\n1,a,b\n1,c,d\n", "has 2 pairs and no two", id="same-scores"
        ),
    ],
)
def test_pairs_that_are_wrong(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "pairs.csv").write_bytes(content)

    with pytest.raises(DatasetError) as refused:
        datasets.read_pairs(tmp_path / "pairs.csv")

    assert sentence in str(refused.value)
    assert str(tmp_path / "pairs.csv") in str(refused.value)


@pytest.fixture
def task(tmp_path: Path) -> Callable[..., Path]:
    """Write a retrieval task with some files other than they should be; None is absent."""

    def write(**changes: str | None) -> Path:
        files = {
            "corpus": '{"_id": "1", "title": "t", "text": "a"}\n{"_id": "2", "text": "b", "more": 3}\n'
            '{"_id": "x", "title": null, "text": "c"}\n',
            "queries": '{"_id": "x", "text": "q"}\n{"_id": "never", "text": "r"}\n'
            '{"_id": "1", "text": "s"}\n',
            "qrels": "query-id\tcorpus-id\tscore\nx\t2\t2\nx\t1\t0\nnever\t1\t0\n1\t1\t1\n",
        } | changes
        folder = tmp_path / "task"
        folder.mkdir()
        for name, content in files.items():
            if content is not None:
                (folder / f"{name}.{'tsv' if name == 'qrels' else 'jsonl'}").write_text(content)
        return folder

    return write


def test_a_retrieval_task(task: Callable[..., Path]) -> None:
    """Titles go before texts, queries without an answer are left out, a query is not its own answer."""
    folder = task()

    actual = datasets.read_retrieval(folder)

    assert ("task", ["t a", "b", "c"], ["q", "s"]) == (actual.name, actual.documents, actual.queries)
    assert ([{1: 2.0}, {0: 1.0}], [2, -1]) == (actual.gains, actual.same)
    (folder / "qrels").mkdir()
    (folder / "qrels.tsv").rename(folder / "qrels" / "test.tsv")
    assert actual == datasets.read_retrieval(folder)


@pytest.mark.parametrize(
    ("lines", "unmatched"),
    [
        pytest.param("x\t9\t1\n", 1, id="document"),
        pytest.param("y\t1\t1\n", 1, id="query"),
        pytest.param("y\t9\t1\nx\t9\t0\nz\t2\t1\n", 3, id="both-and-of-no-gain"),
    ],
)
def test_judgements_of_what_is_not_there(task: Callable[..., Path], lines: str, unmatched: int) -> None:
    """As a sample of a corpus has them: they are left out and counted, and the others stay what they are."""
    folder = task()
    whole = datasets.read_retrieval(folder)
    header, judged = (folder / "qrels.tsv").read_text().split("\n", 1)
    (folder / "qrels.tsv").write_text(f"{header}\n{lines}{judged}")

    actual = datasets.read_retrieval(folder)

    assert (0, unmatched) == (whole.unmatched, actual.unmatched)
    assert msgspec.structs.replace(whole, unmatched=unmatched) == actual


def test_ids_with_quotes(task: Callable[..., Path]) -> None:
    """TSV has none; a quote is a character of an id."""
    folder = task(
        corpus=r'{"_id": "\"d", "text": "a"}' + "\n",
        queries=r'{"_id": "q\"1\"", "text": "b"}' + "\n",
        qrels='query-id\tcorpus-id\tscore\nq"1"\t"d\t1\n',
    )

    assert [{0: 1.0}] == datasets.read_retrieval(folder).gains


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param({"qrels": None}, "task/qrels.tsv cannot be read: No such file", id="absent"),
        pytest.param({"corpus": "\n"}, "corpus.jsonl is empty", id="empty"),
        pytest.param({"corpus": '{"_id": "1"\n'}, "corpus.jsonl, line 1 is not {", id="json"),
        pytest.param({"queries": '{"_id": 7, "text": "q"}\n'}, "got `int` - at `$._id`", id="number"),
        pytest.param({"queries": '\n{"_id": "x"}\n'}, "queries.jsonl, line 2 is not", id="no-text"),
        pytest.param(
            {"queries": '{"_id": "x", "text": "q"}\n' * 2},
            "queries.jsonl, line 2 has the id 'x' once more",
            id="twice",
        ),
        pytest.param(
            {"qrels": "query-id\tcorpus-id\tscore\nx\t9\t1\ny\t1\t1\n"},
            "(2 lines are of texts that queries.jsonl or corpus.jsonl does not have)",
            id="nothing-of-what-is-judged",
        ),
        pytest.param(
            {"qrels": "query-id\tcorpus-id\tscore\nx\t9\tyes\n"}, "the score 'yes'", id="score-of-no-text"
        ),
        pytest.param({"qrels": "x 0 1 1\n"}, "with tabs between", id="trec"),
        pytest.param({"qrels": "query-id\tcorpus-id\tscore\nx\t1\tyes\n"}, "the score 'yes'", id="score"),
        pytest.param(
            {"qrels": "query-id\tcorpus-id\tscore\nx\t1\t0\n"}, "no line with a score above 0", id="zeros"
        ),
    ],
)
def test_a_task_that_is_wrong(
    task: Callable[..., Path], changes: dict[str, str | None], sentence: str
) -> None:
    folder = task(**changes)

    with pytest.raises(DatasetError) as refused:
        datasets.read_retrieval(folder)

    assert sentence in str(refused.value)
    assert str(folder) in str(refused.value)
