"""Scores of files: the model's own, in order, for every kind of file; and runs that end on the way."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kept
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from bulk_runs import (
    KINDS,
    beside,
    end_at_steps,
    kill_at_work,
    leave_unfinished,
    lines_in,
    refused,
    started,
    texts_of,
    write_lines,
)
from harness import CLASSIFIER, RERANKER, SMALL, START_SECONDS, run

from embed_onnx import Model
from embed_onnx.bulk import inputs
from embed_onnx.bulk.run import Target
from embed_onnx.bulk.score import Choice, ScoreMeta, score_files
from embed_onnx.models.request_pairs import ScoreOptions
from embed_onnx.settings import Settings

Score = Callable[..., ScoreMeta]
PAIRS = list(zip(texts_of(300), texts_of(300, seed=1), strict=True))


@pytest.fixture(scope="module")
def scoring_home() -> Path:
    return kept.scoring()


@pytest.fixture(scope="module")
def reranker(scoring_home: Path) -> Iterator[Model]:
    with Model.load(scoring_home / "artifacts" / RERANKER) as model:
        yield model


@pytest.fixture(scope="module")
def classifier(scoring_home: Path) -> Iterator[Model]:
    with Model.load(scoring_home / "artifacts" / CLASSIFIER) as model:
        yield model


@pytest.fixture
def score(scoring_home: Path) -> Score:
    """Score files by the reranker, in this process; records are pairs, unless there is a field or a query."""

    def score(names: Path | list[str], output: Path, **flags: Any) -> ScoreMeta:
        columns = {name: flags.pop(name) for name in ("id", "keep", "header") if name in flags}
        places = {name: flags.pop(name) for name in ("force", "restart") if name in flags}
        knobs = {name: flags.pop(name) for name in ("truncate", "literal_special_tokens") if name in flags}
        field = flags.pop("field", None)
        texts = {"field": "text1", "second": "text2"}
        if field is not None or "query" in flags:
            texts = {"field": field or "text"}
        settings = Settings(artifacts=scoring_home / "artifacts", models=scoring_home / "models.txt", **knobs)
        names = [str(names)] if isinstance(names, Path) else names
        files = inputs.find(names, None, output=output, **texts, **columns)
        choice = Choice(settings=settings, **{"model": RERANKER} | flags)
        return score_files(files, Target(output=output, **places), choice)

    return score


def write_pairs(path: Path, pairs: list[tuple[str, str]]) -> Path:
    """A file of pairs of the kind that its name says, each with a name."""
    names = [f"n{place}" for place in range(len(pairs))]
    table = pa.table({"name": names, "text1": [a for a, _ in pairs], "text2": [b for _, b in pairs]})
    if path.suffix == ".csv":
        pa_csv.write_csv(table, path)
    elif path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=100)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    return path


def logits(model: Model, items: list[Any]) -> np.ndarray:
    return model.score_now(items, ScoreOptions()).logits


def scores_in(output: Path, name: str = "score") -> np.ndarray:
    if output.suffix == ".npy":
        return np.load(output)
    if output.suffix == ".jsonl":
        return np.array([line[name] for line in lines_in(output)], np.float32)
    return np.array(pq.read_table(output).column(name).to_pylist(), np.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", [".csv", ".jsonl", ".parquet"])
def test_rows_are_the_models_scores_in_order(
    score: Score, reranker: Model, tmp_path: Path, source: str, kind: str
) -> None:
    value, output = write_pairs(tmp_path / f"in{source}", PAIRS), tmp_path / f"out{kind}"

    meta = score(value, output)

    expected = 1 / (1 + np.exp(-logits(reranker, PAIRS)[:, 0].astype(np.float64)))
    assert np.array_equal(expected.astype(np.float32), scores_in(output))
    assert (300, 0, 0, ["LABEL_0"], None) == (
        meta.rows,
        meta.rejected,
        meta.truncated,
        meta.labels,
        meta.query,
    )
    assert (300,) == scores_in(output).shape


def test_documents_for_one_query_score_as_in_a_rank(score: Score, reranker: Model, tmp_path: Path) -> None:
    """Lines of text, of which each is a document; to the bit, whatever blocks they are in."""
    documents = texts_of(300)
    output = tmp_path / "out.jsonl"

    score(write_lines(tmp_path / "in.txt", documents), output, query="a few words", raw_scores=True)

    ranked = {item.index: item.score for item in reranker.rank("a few words", documents, raw_scores=True)}
    lines = lines_in(output)
    assert [ranked[line["index"]] for line in lines] == [line["score"] for line in lines]
    assert {"index", "num_tokens", "score"} == set(lines[0])


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_classifier_writes_labels(score: Score, classifier: Model, tmp_path: Path, kind: str) -> None:
    """Of pairs or of single texts: the best label, and the scores of all, which add up to 1."""
    texts, output = texts_of(20), tmp_path / f"out{kind}"

    meta = score(write_lines(tmp_path / "in.txt", texts), output, model=CLASSIFIER, field="text")
    pairs = score(write_pairs(tmp_path / "in.csv", PAIRS), tmp_path / "pairs.npy", model=CLASSIFIER)

    expected = logits(classifier, texts)
    best = [["bad", "fair", "good"][place] for place in expected.argmax(axis=1)]
    rows = lines_in(output) if kind == ".jsonl" else pq.read_table(output).to_pylist()
    assert best == [row["label"] for row in rows]
    assert np.allclose(1, scores_in(output, "scores").sum(axis=1))
    assert np.array_equal(expected.argsort(axis=1), scores_in(output, "scores").argsort(axis=1))
    assert ["bad", "fair", "good"] == meta.labels == pairs.labels
    assert (300, 3) == np.load(tmp_path / "pairs.npy").shape


def test_columns_are_kept(score: Score, tmp_path: Path) -> None:
    value = write_pairs(tmp_path / "in.jsonl", PAIRS[:5])

    score(value, tmp_path / "out.parquet", id="name", keep=("text2",))

    table = pq.read_table(tmp_path / "out.parquet")
    assert ["index", "id", "text2", "num_tokens", "truncated", "score"] == table.column_names
    assert [text for _, text in PAIRS[:5]] == table.column("text2").to_pylist()
    assert "has a column 'score' of its own" in refused(score, value, tmp_path / "o.jsonl", keep=("score",))


def test_a_result_says_what_made_it(score: Score, reranker: Model, tmp_path: Path) -> None:
    """The same command finds it, and another does not take it for its own."""
    value, output = write_pairs(tmp_path / "in.csv", PAIRS[:5]), tmp_path / "out.npy"

    meta = score(value, output)

    written = json.loads((tmp_path / "out.npy.meta.json").read_bytes())
    assert (RERANKER, False, 5) == (written["model"], written["raw_scores"], written["rows"])
    assert reranker.manifest.sha256["model.onnx"] == written["artifact"]
    assert meta == score(value, output)
    assert "--force overwrites it" in refused(score, value, output, raw_scores=True)
    assert score(value, output, raw_scores=True, force=True).raw_scores


BAD_ROWS = {"text1": "a", "text2": "b"}


def test_bad_records_are_listed_and_the_rest_is_scored(score: Score, tmp_path: Path) -> None:
    rows: list[Any] = [
        BAD_ROWS,
        {"text1": "a", "text2": ""},
        {"text1": None, "text2": "b"},
        {"text1": "a"},
        {"text1": "a", "text2": 3},
        BAD_ROWS,
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    meta = score(tmp_path / "in.jsonl", tmp_path / "out.jsonl")

    assert (2, 4) == (meta.rows, meta.rejected)
    assert [0, 5] == [line["index"] for line in lines_in(tmp_path / "out.jsonl")]
    assert [
        (2, "the second text is empty"),
        (3, "the first text is null"),
        (4, "there is no field 'text2'"),
        (5, "the second text is of type int, not a string"),
    ] == [(line["line"], line["reason"]) for line in lines_in(tmp_path / "out.jsonl.rejects.jsonl")]


def test_bytes_that_are_not_texts_are_rejects(score: Score, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b"text1,text2\na,\xff\na,b\n")
    table = pa.table({"text1": ["a", "a"], "text2": pa.array([b"\xff", b"b"])})
    pq.write_table(table, tmp_path / "in.parquet")

    for source in ("in.csv", "in.parquet"):
        meta = score(tmp_path / source, tmp_path / "out.jsonl", force=True)

        assert (1, 1) == (meta.rows, meta.rejected)
        (reject,) = lines_in(tmp_path / "out.jsonl.rejects.jsonl")
        assert "the second text is not valid UTF-8" == reject["reason"]


def test_pairs_that_are_too_long(score: Score, tmp_path: Path) -> None:
    """They are cut and counted; where they must not be cut, they are rejects."""
    value = write_pairs(tmp_path / "in.csv", [("a", "b"), ("words " * 300, "few " * 300), ("c", "d")])

    cut = score(value, tmp_path / "cut.jsonl")
    whole = score(value, tmp_path / "whole.jsonl", truncate=False)

    assert (3, 1, 2, 1) == (cut.rows, cut.truncated, whole.rows, whole.rejected)
    assert [None, True, None] == [line.get("truncated") for line in lines_in(tmp_path / "cut.jsonl")]
    (reject,) = lines_in(tmp_path / "whole.jsonl.rejects.jsonl")
    expected = "the pair has 603 tokens as a pair, and this model's maximum context length is 48 tokens"
    assert expected == reject["reason"]


def test_a_block_of_bad_records_alone(score: Score, tmp_path: Path) -> None:
    value = write_pairs(tmp_path / "in.csv", [("a", "b"), *[("", "b")] * 200])

    meta = score(value, tmp_path / "out.jsonl", model=CLASSIFIER)

    assert (1, 200) == (meta.rows, meta.rejected)


# Runs that end on the way
@pytest.mark.parametrize("kind", KINDS)
def test_ended_at_any_step_of_writing(scoring_home: Path, tmp_path: Path, kind: str) -> None:
    value = write_pairs(tmp_path / "in.csv", PAIRS)

    end_at_steps(["score", str(value), "--model", RERANKER, "-o"], tmp_path, kind, scoring_home)


def test_killed_and_run_again_until_it_ends(scoring_home: Path, tmp_path: Path) -> None:
    """kill -9 in the work: the output is that of a run which nobody killed, to the byte."""
    pairs = list(zip(texts_of(4000), texts_of(4000, seed=1), strict=True))
    pairs[7] = ("", "a")
    value, output, whole = (tmp_path / name for name in ("in.csv", "out.parquet", "whole.parquet"))
    command = ["score", str(write_pairs(value, pairs)), "--model", RERANKER, "--id", "name", "-o"]

    kills = sum(kill_at_work([*command, str(output)], output, scoring_home, 0.05) for _ in range(3))
    done = started(*command, str(output), cwd=scoring_home)
    _, log = done.communicate(timeout=START_SECONDS)

    assert 2 == done.returncode, log
    assert 2 == run(*command, str(whole), cwd=scoring_home).returncode
    assert kills >= 1
    assert whole.read_bytes() == output.read_bytes()
    assert {".rejects.jsonl"} == beside(output)
    assert f"{output} holds 3,999 scores by {RERANKER}; 1 records were rejected" in log


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"query": "b"}, "query was 'a' and is 'b'"),
        ({"query": "a", "raw_scores": True}, "raw_scores was False and is True"),
        ({"query": "a", "truncate": False}, "truncate was True and is False"),
        ({"query": "a", "literal_special_tokens": True}, "literal_special_tokens was False and is True"),
    ],
)
def test_another_command_does_not_go_on(
    score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: dict[str, Any], named: str
) -> None:
    source, output = write_lines(tmp_path / "in.txt", texts_of(300)), tmp_path / "out.npy"
    leave_unfinished(score, source, output, monkeypatch, query="a")

    assert named in refused(score, source, output, **flags)
    assert 300 == score(source, output, **flags, restart=True).rows


def test_vectors_are_not_continued_as_scores(
    score: Score, scoring_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor the other way round."""
    source, output = write_lines(tmp_path / "in.txt", texts_of(30)), tmp_path / "out.npy"
    leave_unfinished(score, source, output, monkeypatch, query="a")

    done = run("embed", str(source), "-o", str(output), "--model", SMALL, cwd=scoring_home)

    assert 1 == done.returncode
    assert "holds an unfinished run of another command: it did something else" in done.stderr


# The command
def test_the_command(scoring_home: Path, tmp_path: Path, reranker: Model) -> None:
    """Without --model it takes the first that scores, though an embedder is listed first."""
    (tmp_path / "in.tsv").write_text("question\tanswer\na\tb\nc\td\n")
    words = ("score", str(tmp_path / "in.tsv"), "--pair", "question,answer", "--raw-scores", "-o", "out.npy")

    done = run(*words[:-1], str(tmp_path / "out.npy"), cwd=scoring_home)
    labels = run(
        "score",
        "-",
        "--model",
        CLASSIFIER,
        "-o",
        str(tmp_path / "l.jsonl"),
        "--field",
        "text",
        cwd=scoring_home,
        stdin="one text\n",
    )

    assert (0, 0) == (done.returncode, labels.returncode), done.stderr + labels.stderr
    assert f"out.npy holds 2 logits by {RERANKER}\n" in done.stderr
    assert f"l.jsonl holds 1 rows of 3 scores by {CLASSIFIER}\n" in labels.stderr
    assert np.array_equal(logits(reranker, [("a", "b"), ("c", "d")])[:, 0], np.load(tmp_path / "out.npy"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["in.txt"], "a line of text is not a pair of texts"),
        (["in.txt", "--field", "text"], "and a record has one text; give --query TEXT to score"),
        (["in.txt", "--query", ""], "--query is empty"),
        (["in.csv", "--pair", "a,b"], "in.csv has 0 columns 'a' and must have one; its header is text1,"),
        (["in.csv", "--pair", "text1"], "--pair text1: give two columns"),
        (["in.csv", "--pair", "text1,text1"], "give two columns"),
        (["in.csv", "--pair", "a,b", "--query", "c"], "--pair is for files of pairs"),
        (["in.csv", "--no-header"], "give numbers to --pair, --id and --keep, such as --pair 1,2"),
        (["in.csv", "--model", SMALL], "does not classify"),
        (["in.csv", "--model", CLASSIFIER, "--query", "a", "--field", "text1"], "does not rerank"),
    ],
)  # fmt: skip
def test_mistakes(scoring_home: Path, tmp_path: Path, words: list[str], sentence: str) -> None:
    (tmp_path / "in.txt").write_text("a\n")
    (tmp_path / "in.csv").write_text("text1,text2\na,b\n")
    source, *flags = words

    done = run("score", str(tmp_path / source), *flags, "-o", str(tmp_path / "out.npy"), cwd=scoring_home)

    assert 1 == done.returncode
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.npy").exists()
