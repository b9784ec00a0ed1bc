"""Sparse vectors of files: the model's own, in order, in Parquet and JSON lines; runs that end on the way."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import kept
import numpy as np
import pyarrow.parquet as pq
import pytest
from bulk_runs import beside, kill_at_work, texts_of, write_lines
from harness import SMALL, SPARSE, run

from embed_onnx import Model
from embed_onnx.models.sparse import SparseRows

EMBED = ("embed", "--sparse")
TEXTS = texts_of(300)
KINDS = (".jsonl", ".parquet")


@pytest.fixture(scope="module")
def home() -> Path:
    return kept.sparse()


@pytest.fixture(scope="module")
def model(home: Path) -> Iterator[Model]:
    with Model.load(home / "artifacts" / SPARSE) as model:
        yield model


def weights_in(path: Path) -> list[dict[int, np.float32]]:
    """The weights of each row, by entry."""
    if path.suffix == ".parquet":
        rows = pq.read_table(path).column("sparse_embedding").to_pylist()
        return [{each["index"]: np.float32(each["value"]) for each in row} for row in rows]
    rows = [json.loads(line)["sparse_embedding"] for line in path.read_text().splitlines()]
    return [dict(zip(row["indices"], map(np.float32, row["values"]), strict=True)) for row in rows]


def weights_of(rows: SparseRows) -> list[dict[int, np.float32]]:
    return [dict(zip(row.indices.tolist(), row.weights, strict=True)) for row in rows]


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_own_vectors(home: Path, model: Model, tmp_path: Path, kind: str) -> None:
    """The first sparse model; a text that is empty is a reject."""
    source, output = write_lines(tmp_path / "in.txt", [*TEXTS, ""]), tmp_path / f"out{kind}"

    done = run(*EMBED, str(source), "-o", str(output), "--prompt-name", "query", cwd=home)

    assert 2 == done.returncode, done.stderr
    assert weights_of(model.encode_sparse(TEXTS, prompt_name="query")) == weights_in(output)
    assert f"holds 300 sparse vectors over {model.manifest.sparse.entries} entries by {SPARSE}" in done.stderr


def test_the_greatest_weights(home: Path, model: Model, tmp_path: Path) -> None:
    source, output = write_lines(tmp_path / "in.txt", TEXTS), tmp_path / "out.parquet"

    done = run(*EMBED, str(source), "-o", str(output), "--max-active-dims", "7", cwd=home)

    assert 0 == done.returncode, done.stderr
    assert weights_of(model.encode_sparse(TEXTS, max_active_dims=7)) == weights_in(output)


@pytest.mark.parametrize("kind", KINDS)
def test_killed_and_run_again_until_it_ends(home: Path, tmp_path: Path, kind: str) -> None:
    rng = random.Random(kind)
    source = write_lines(tmp_path / "in.txt", texts_of(4000))
    output, whole = tmp_path / f"out{kind}", tmp_path / f"whole{kind}"
    command = [*EMBED, str(source), "-o"]

    kills = sum(kill_at_work([*command, str(output)], output, home, rng.random() * 0.15) for _ in range(4))

    assert kills >= 1
    assert 0 == run(*command, str(output), cwd=home).returncode
    assert 0 == run(*command, str(whole), cwd=home).returncode
    assert whole.read_bytes() == output.read_bytes()
    assert beside(whole) == beside(output)


def test_texts_of_the_command_line(home: Path, model: Model) -> None:
    done = run(*EMBED, "--text", TEXTS[0], "--text", TEXTS[1], "--max-active-dims", "3", cwd=home)

    rows = [json.loads(line)["sparse_embedding"] for line in done.stdout.splitlines()]
    expected = model.encode_sparse(TEXTS[:2], max_active_dims=3)
    assert [row.indices.tolist() for row in expected] == [row["indices"] for row in rows]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--sparse", "-o", "out.npy"], "a .npy file holds no sparse vectors; write .parquet or .jsonl"),
        (["--sparse", "-o", "out.jsonl", "--dtype", "int8"], "--dtype is for dense vectors"),
        (["--sparse", "-o", "out.jsonl", "--model", SMALL], f"{SMALL} is a model for embed and does not"),
        (["--sparse", "-o", "out.jsonl", "--max-active-dims", "0"], "max_active_dims is 0; send at least 1"),
        (["-o", "out.jsonl", "--max-active-dims", "9"], "--max-active-dims is for sparse vectors"),
        (["-o", "out.jsonl", "--model", SPARSE], "`embed-onnx embed --sparse` is for it"),
        (["--sparse", "-o", "out.jsonl", "--long-texts", "mean"], "long_texts is mean, and"),
    ],
)
def test_what_is_refused(home: Path, tmp_path: Path, words: list[str], sentence: str) -> None:
    source = write_lines(tmp_path / "in.txt", TEXTS[:3])
    words = [str(tmp_path / word) if word.startswith("out") else word for word in words]

    done = run("embed", str(source), *words, cwd=home)

    assert 1 == done.returncode
    assert sentence in done.stderr
