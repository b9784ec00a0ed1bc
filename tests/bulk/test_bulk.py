"""Files in, vectors out: rows in order, of every kind of output and type of number."""

import gzip
import io
import json
import sys
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from bulk_runs import KINDS, Embed, beside, lines_in, refused, texts_of, vectors_in, write_lines
from harness import SMALL, run
from sentence_transformers.util.quantization import quantize_embeddings
from small_models import MAX_TOKENS, WIDTH

from embed_onnx import Model
from embed_onnx.bulk.embed import Choice, EmbedMeta, embed_texts
from embed_onnx.engine import dtypes
from embed_onnx.errors import SetupError
from embed_onnx.models.options import Options
from embed_onnx.settings import Settings


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

    actual = [embed(source, tmp_path / f"out{kind}", dimensions=8) for kind in KINDS]

    raw = pq.read_schema(tmp_path / "out.parquet").metadata[b"embed_onnx"]
    said = [
        msgspec.json.decode((tmp_path / f"out{kind}.meta.json").read_bytes(), type=EmbedMeta)
        for kind in KINDS[:2]
    ]
    said.append(msgspec.json.decode(raw, type=EmbedMeta))
    assert actual == said
    for meta in said:
        assert (SMALL, "checkpoint", "int8", "text: ") == (meta.model, meta.repo, meta.precision, meta.prompt)
        assert small.manifest.sha256["model.onnx"] == meta.artifact
        assert small.kernels.runs_on == meta.runs_on


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


def test_int8_of_one_text_is_refused(embed: Embed, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.txt", ["", "one"])

    assert "int8 takes ranges over many texts" in refused(embed, source, tmp_path / "out.npy", dtype="int8")


def test_texts_that_are_cut_are_counted(embed: Embed, small: Model, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.txt", ["short", "long " * 100, "short again"])

    meta = embed(source, tmp_path / "out.jsonl")

    actual = [(line.get("truncated"), line["num_tokens"]) for line in lines_in(tmp_path / "out.jsonl")]
    assert 1 == meta.truncated
    assert (True, MAX_TOKENS) == actual[1]
    assert [None, None] == [actual[0][0], actual[2][0]]


def test_texts_that_are_not_cut_have_the_mean_of_their_windows(
    embed: Embed, small: Model, tmp_path: Path
) -> None:
    """That is another result than that of cut texts."""
    texts = ["short", "long " * 100]
    source = write_lines(tmp_path / "in.txt", texts)

    meta = embed(source, tmp_path / "out.jsonl", long_texts="mean")

    lines = lines_in(tmp_path / "out.jsonl")
    expected = small.encode(texts, long_texts="mean")
    assert np.array_equal(expected, np.array([line["embedding"] for line in lines], np.float32))
    assert (0, True) == (meta.truncated, lines[1]["num_tokens"] > 100)
    assert [None, None] == [line.get("truncated") for line in lines]
    assert "exists" in refused(embed, source, tmp_path / "out.jsonl")


def test_repeated_texts_of_files(embed: Embed, small: Model, tmp_path: Path) -> None:
    """With a cache and without: the vectors of each alone, and every token counted."""
    texts = [f"text {number % 7}" for number in range(500)]
    source = write_lines(tmp_path / "in.txt", texts)
    expected = np.stack([small.encode([text])[0] for text in texts])

    for name, flags in (("plain", {}), ("kept", {"cache_bytes": 100_000})):
        meta = embed(source, tmp_path / f"{name}.npy", **flags)
        assert expected.tobytes() == np.load(tmp_path / f"{name}.npy").tobytes()
        assert meta.tokens == sum(tokens.num_tokens for tokens in small.tokenize(texts, Options()))


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


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_the_ranges_of_the_model(embed: Embed, small: Model, tmp_path: Path, dtype: str) -> None:
    """What a file holds is what a server sends, for one text as for many."""
    texts, ranges = texts_of(30), small.ranges(dimensions=20)
    for number in (1, 30):
        meta = embed(
            write_lines(tmp_path / "in.txt", texts[:number]),
            tmp_path / f"{number}.npy",
            dtype=dtype,
            ranges="model",
            dimensions=20,
        )

        expected = small.encode(texts[:number], dtype=dtype, ranges=ranges, dimensions=20)
        assert np.array_equal(expected, np.load(tmp_path / f"{number}.npy"))
        assert np.array_equal(ranges, np.array(meta.ranges, np.float32))
        assert meta.calibration_rows is None


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint8", "binary", "ubinary"])
@pytest.mark.parametrize("kind", KINDS)
def test_dtypes_are_those_of_sentence_transformers(
    embed: Embed, small: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, dtype: str
) -> None:
    """int8 takes its ranges over the first rows and stores them; both round-trip through the file."""
    monkeypatch.setattr("embed_onnx.bulk.embed.CALIBRATION_ROWS", 500)
    texts = texts_of(900)

    meta = embed(write_lines(tmp_path / "in.txt", texts), tmp_path / f"out{kind}", dtype=dtype, dimensions=20)

    vectors = small.encode(texts, dimensions=20)
    if dtype == "float16":
        expected = vectors.astype(np.float16)
    else:
        expected = quantize_embeddings(
            vectors, dtype, ranges=None if meta.ranges is None else np.array(meta.ranges, np.float32)
        )
    actual = vectors_in(tmp_path / f"out{kind}")
    assert np.array_equal(expected, actual)
    if kind != ".jsonl":
        assert expected.dtype == actual.dtype
    if dtype in ("int8", "uint8"):
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


def test_texts_of_the_command_line(
    home: Path, small: Model, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    selection = Settings(artifacts=home / "artifacts", models=home / "models.txt")
    choice = Choice(settings=selection, model=SMALL, dtype="ubinary")
    ranged = msgspec.structs.replace(choice, dtype="int8", ranges="model")

    embed_texts(["one", "two"], choice)
    embed_texts(["one", "two"], ranged)
    with pytest.raises(SetupError, match="text 1: the text is not valid UTF-8; leave it out"):
        embed_texts(["\udcff"], choice)
    sys.stdout.flush()

    lines = [json.loads(line) for line in io.BytesIO(capfdbinary.readouterr().out)]
    assert [0, 1] * 2 == [line["index"] for line in lines]
    bits = quantize_embeddings(small.encode(["one", "two"]), "ubinary")
    int8 = small.encode(["one", "two"], dtype="int8", ranges=small.ranges())
    assert [*bits.tolist(), *int8.tolist()] == [line["embedding"] for line in lines]


def test_a_half_is_embedded_as_over_http(embed: Embed, small: Model, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(r'{"text": "cut \ud83d", "x": Infinity}')

    embed(tmp_path / "in.jsonl", tmp_path / "out.jsonl")

    (row,) = lines_in(tmp_path / "out.jsonl")
    assert np.array_equal(small.encode("cut \ufffd"), np.array(row["embedding"], np.float32))
