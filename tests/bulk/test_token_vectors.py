"""Token vectors of files: the model's own, in order, in Parquet and JSON lines; runs that end on the way."""

import json
import random
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import kept
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bulk_runs import beside, end_at_steps, kill_at_work, lines_in, texts_of, write_lines
from harness import COLBERT, ROOT, SMALL, run

from embed_onnx import Model

EMBED = ("embed", "--token-vectors")
TEXTS = [f"{text}, and more." for text in texts_of(300)]
KINDS = (".jsonl", ".parquet")
NAME = "token_embeddings"


@pytest.fixture(scope="module")
def home() -> Path:
    return kept.token_vectors()


@pytest.fixture(scope="module")
def model(home: Path) -> Iterator[Model]:
    with Model.load(home / "artifacts" / COLBERT) as model:
        yield model


def vectors_in(path: Path, dtype: str) -> list[np.ndarray]:
    """The vectors of each row, [vectors, dimensions]."""
    if path.suffix == ".jsonl":
        return [np.array(line[NAME], dtype) for line in lines_in(path)]
    column = pq.read_table(path).column(NAME)
    width = column.type.value_type.list_size
    return [row.values.flatten().to_numpy().reshape(-1, width) for row in column]


def assert_same(expected: list[np.ndarray], actual: list[np.ndarray], dtype: str) -> None:
    for array, other in zip(expected, actual, strict=True):
        assert dtype == other.dtype.name
        np.testing.assert_array_equal(array.astype(dtype), other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_model_own_vectors(home: Path, model: Model, tmp_path: Path, kind: str, dtype: str) -> None:
    """Documents by the first such model; a text that is empty is a reject."""
    source, output = write_lines(tmp_path / "in.txt", [*TEXTS, ""]), tmp_path / f"out{kind}"
    words = [] if dtype == "float16" else ["--dtype", dtype]

    done = run(*EMBED, str(source), "-o", str(output), *words, cwd=home)

    assert 2 == done.returncode, done.stderr
    assert_same(model.encode_tokens(TEXTS), vectors_in(output, dtype), dtype)
    assert f"holds 300 texts' token vectors of 16 dimensions by {COLBERT}; 1 records were" in done.stderr


def test_queries_with_an_id_and_a_column(home: Path, model: Model, tmp_path: Path) -> None:
    """Queries have expansion tokens, so that all of them have as many vectors."""
    table = pa.table({"doc": ["a", "b"], "text": TEXTS[:2], "stars": [5, 3]})
    pq.write_table(table, tmp_path / "in.parquet")
    output = tmp_path / "out.parquet"
    words = ("--id", "doc", "--keep", "stars", "--model", f"{COLBERT}:query")

    done = run(*EMBED, str(tmp_path / "in.parquet"), "-o", str(output), *words, cwd=home)

    assert 0 == done.returncode, done.stderr
    rows = pq.read_table(output)
    assert ["index", "id", "stars", "num_tokens", "truncated", NAME] == rows.column_names
    assert (["a", "b"], [5, 3]) == (rows["id"].to_pylist(), rows["stars"].to_pylist())
    assert "list<element: fixed_size_list<element: halffloat not null>[16] not null>" == str(rows[NAME].type)
    expected = model.encode_tokens(TEXTS[:2], prompt_name="query")
    assert_same(expected, vectors_in(output, "float16"), "float16")
    meta = json.loads(pq.read_schema(output).metadata[b"embed_onnx"])
    assert (True, 16, "float16", 2) == tuple(
        meta[name] for name in ("queries", "dimensions", "dtype", "rows")
    )


def test_a_text_of_skipped_tokens_alone(home: Path, model: Model, tmp_path: Path) -> None:
    """It has the vectors of the special tokens; a file without a text has no rows."""
    output = tmp_path / "out.parquet"
    for texts in ([",.", "a"], [""]):
        source = write_lines(tmp_path / "in.txt", texts)

        run(*EMBED, str(source), "-o", str(output), "--force", cwd=home)

        expected = model.encode_tokens([text for text in texts if text])
        assert_same(expected, vectors_in(output, "float16"), "float16")


@pytest.mark.parametrize("kind", KINDS)
def test_killed_and_run_again_until_it_ends(home: Path, tmp_path: Path, kind: str) -> None:
    """kill -9 at random moments of the work: the output is that of a run which nobody killed, to the byte."""
    rng = random.Random(kind)
    texts = texts_of(4000)
    for place in range(0, 4000, 97):
        texts[place] = ""
    source = write_lines(tmp_path / "in.txt", texts)
    output, whole = tmp_path / f"out{kind}", tmp_path / f"whole{kind}"
    command = [*EMBED, str(source), "-o"]

    kills = sum(kill_at_work([*command, str(output)], output, home, rng.random() * 0.15) for _ in range(4))

    assert kills >= 1
    assert 2 == run(*command, str(output), cwd=home).returncode
    assert 2 == run(*command, str(whole), cwd=home).returncode
    assert whole.read_bytes() == output.read_bytes()
    assert beside(whole) == beside(output)
    for suffix in beside(whole):
        assert Path(f"{whole}{suffix}").read_bytes() == Path(f"{output}{suffix}").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_ended_at_any_step_of_writing(home: Path, tmp_path: Path, kind: str) -> None:
    source = write_lines(tmp_path / "in.txt", TEXTS)

    end_at_steps([*EMBED, str(source), "-o"], tmp_path, kind, home)


def test_texts_of_the_command_line(home: Path, model: Model) -> None:
    words = ("--text", TEXTS[0], "--text", TEXTS[1], "--dtype", "float32", "--prompt-name", "query")

    done = run(*EMBED, *words, cwd=home)

    rows = [np.array(json.loads(line)[NAME], np.float32) for line in done.stdout.splitlines()]
    assert_same(model.encode_tokens(TEXTS[:2], prompt_name="query"), rows, "float32")


def test_the_commands_and_the_program_of_the_docs(home: Path, model: Model, tmp_path: Path) -> None:
    """They run as they are, and find what the model ranks best."""
    section = (ROOT / "docs" / "token-vectors.md").read_text().partition("## Files")[2]
    commands, program = re.findall(r"^```(?:bash|python)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)[:2]
    documents, queries = TEXTS[:9], TEXTS[9:12]
    write_lines(tmp_path / "docs.txt", documents)
    write_lines(tmp_path / "queries.txt", queries)

    for command in commands.splitlines():
        words = shlex.split(command)[1:]
        done = run(
            *words, "--artifacts", str(home / "artifacts"), "--models", str(home / "models.txt"), cwd=tmp_path
        )
        assert 0 == done.returncode, done.stderr
    printed = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout

    best = [model.rank(query, documents)[0].index for query in queries]
    assert best == [int(line) for line in printed.splitlines()]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--token-vectors", "-o", "out.npy"],
            "a .npy file holds no token vectors; write .parquet or .jsonl",
        ),
        (["--token-vectors", "-o", "out.jsonl", "--dtype", "int8"], "choose float16 or float32"),
        (["--token-vectors", "-o", "out.jsonl", "--dimensions", "8"], "--dimensions is for dense vectors"),
        (["--token-vectors", "-o", "out.jsonl", "--sparse"], "give one of them"),
        (["--token-vectors", "-o", "out.jsonl", "--long-texts", "mean"], "long_texts is mean, and"),
        (
            ["--token-vectors", "-o", "out.jsonl", "--model", SMALL],
            f"{SMALL} is a model for embed and does not embed_tokens; `embed-onnx embed` without --sparse "
            "and --token-vectors is for it",
        ),
        (
            ["-o", "out.jsonl", "--model", COLBERT],
            f"{COLBERT} is a model for embed_tokens, rerank and does not embed; `embed-onnx embed "
            "--token-vectors` is for it, or name another --model",
        ),
    ],
)
def test_what_is_refused(home: Path, tmp_path: Path, words: list[str], sentence: str) -> None:
    source = write_lines(tmp_path / "in.txt", TEXTS[:3])
    words = [str(tmp_path / word) if word.startswith("out") else word for word in words]

    done = run("embed", str(source), *words, cwd=home)

    assert 1 == done.returncode
    assert sentence in done.stderr
