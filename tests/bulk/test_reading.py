"""Readers: every record once, from wherever one begins, in bounded memory."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bulk_runs import WORDS, started, write_lines
from harness import SMALL, START_SECONDS
from hypothesis import given
from hypothesis import strategies as st

from embed_onnx.bulk import inputs, readers
from embed_onnx.bulk.blocks import Block, Position
from embed_onnx.bulk.formats import parquet

PEAK = """
import atexit, pathlib
from embed_onnx.cli import main as cli
status = pathlib.Path("/proc/self/status")
atexit.register(lambda: print(next(line.split()[1] for line in status.open() if line.startswith("VmHWM"))))
cli.main()
"""
"""The program, which says how many kB it had in memory at most."""
BAD = {
    "txt": ["", "\udcff"],
    "jsonl": ['{"text": ""}', "{", '{"text": 1}', "[]"],
    "csv": ['"a"b', "a,b,c", ""],
}
GOOD: dict[str, Callable[[str], str]] = {
    "txt": str,
    "jsonl": lambda text: json.dumps({"text": text}),
    "csv": lambda text: f'1,"{text}"',
}


@given(st.data())
def test_every_record_comes_once_in_order_from_wherever_one_begins(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Over any sizes of blocks and files, and any bad records between the good."""
    kind = data.draw(st.sampled_from(sorted(GOOD)))
    folder = tmp_path_factory.mktemp("once")
    text = st.text("ab\u00e9 ", min_size=1, max_size=5)
    record = st.one_of(text.map(GOOD[kind]), st.sampled_from(BAD[kind]))
    parts = data.draw(st.lists(st.lists(record, max_size=12), min_size=1, max_size=3))
    for number, part in enumerate(parts):
        lines = ["n,text", *part] if kind == "csv" else part
        content = "".join(f"{line}\n" for line in lines)
        (folder / f"{number}.{kind}").write_bytes(content.encode("utf-8", "surrogateescape"))
    actual = inputs.find([f"{folder}/*"], None)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(readers, "BLOCK_RECORDS", data.draw(st.integers(1, 5)))
        blocks = list(readers.blocks(actual, Position()))
        whole = records(iter(blocks))
        for block in blocks:
            patched.setattr(readers, "BLOCK_RECORDS", data.draw(st.integers(1, 5)))
            rest = records(readers.blocks(actual, block.after))
            assert whole[block.after.index :] == rest

    expected = [line for part in parts for line in part]
    assert list(range(len(expected))) == [index for index, _, _ in whole]
    for (_, _, got), line in zip(whole, expected, strict=True):
        assert (got is None) == (line in BAD[kind])
        assert got is None or GOOD[kind](got) == line


def records(blocks: Iterator[Block]) -> list[tuple[int, int, str | None]]:
    """Index, line and text of all records; None for a reject."""
    result: list[tuple[int, int, str | None]] = []
    for block in blocks:
        some = [(reject.index, reject.line, None) for reject in block.rejects]
        result += sorted(
            [*some, *zip(block.indexes, block.lines, block.texts, strict=True)], key=lambda record: record[0]
        )
    return result


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 60), st.integers(1, 7))
def test_parquet_is_read_on_from_any_row(
    tmp_path_factory: pytest.TempPathFactory, groups: list[int], skip: int, rows: int
) -> None:
    path = tmp_path_factory.mktemp("groups") / "in.parquet"
    schema = pa.schema([("text", pa.string())])
    texts = [str(number) for number in range(sum(groups))]
    remaining = iter(texts)
    with pq.ParquetWriter(path, schema) as writer:
        for group in groups:
            writer.write_table(pa.table({"text": [next(remaining) for _ in range(group)]}, schema=schema))
    skip = min(skip, len(texts))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parquet, "BLOCK_RECORDS", rows)
        actual = list(readers.blocks(inputs.find([str(path)], None), Position(0, skip, skip)))

    assert texts[skip:] == [text for block in actual for text in block.texts]
    assert all(len(block.texts) <= rows for block in actual)


@pytest.mark.parametrize("kind", [".txt", ".parquet"])
def test_memory_does_not_grow_with_the_input(home: Path, tmp_path: Path, kind: str) -> None:
    """Ten times the rows, 60 MB more of text, take hardly more memory."""
    peaks = []
    for rows in (250, 2_500):
        path = tmp_path / f"{rows}{kind}"
        rng = random.Random(rows)
        texts = [" ".join(rng.choices(WORDS, k=5_000)) for _ in range(rows)]
        if kind == ".txt":
            write_lines(path, texts)
        else:
            # A page is read as a whole, and pyarrow looks at its size after so many rows.
            table = pa.table({"text": texts})
            pq.write_table(table, path, compression="none", use_dictionary=False, write_batch_size=32)
        output = tmp_path / f"{rows}.out.npy"
        process = started("embed", str(path), "--model", SMALL, "-o", str(output), cwd=home, program=PEAK)
        out, log = process.communicate(timeout=10 * START_SECONDS)
        assert 0 == process.returncode, log
        peaks.append(int(out) / 1024)

    assert path.stat().st_size > 50e6
    assert peaks[1] < peaks[0] + 45, peaks
