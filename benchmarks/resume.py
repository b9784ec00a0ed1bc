"""A large Parquet file, embedded in one go and again with a kill on the way: speed, memory, the same result.

    python -m benchmarks.resume --artifacts FOLDER [--rows N]

The second run gets SIGKILL after half the time that the first one took, and its command is given again.
Seconds include starting and loading the model.
"""

import argparse
import itertools
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import bulk, record, texts
from benchmarks.servers import resident_mb

WRITTEN_AT_ONCE = 10_000
"""Rows of the input that are made up and written at a time."""


class Ran(NamedTuple):
    """One run of the command."""

    seconds: float
    most_mb: float
    """Resident memory, at the most."""


def main() -> None:
    """Measure, and write results/resume.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"))
    parser.add_argument("--rows", type=int, default=200_000)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, whole, killed = (folder / f"{name}.parquet" for name in ("texts", "whole", "killed"))
        _write(source, arguments.rows)
        flags = ["--id", "id"]
        straight = _run(bulk.command(source, whole, arguments.artifacts, *flags))
        tokens = msgspec.json.decode(pq.read_schema(whole).metadata[b"embed_onnx"])["tokens"]
        command = bulk.command(source, killed, arguments.artifacts, *flags)
        first = _run(command, kill_after=straight.seconds / 2)
        if killed.exists():
            raise SystemExit("the run was done before it could be killed; give more --rows")
        second = _run(command)
        _compare(whole, killed)
        results = {
            "rows": arguments.rows,
            "tokens": tokens,
            "in one go": _figures(straight)
            | {
                "rows/s": round(arguments.rows / straight.seconds, 1),
                "tokens/s": round(tokens / straight.seconds),
            },
            "killed": _figures(first),
            "resumed": _figures(second),
            "MB of the result": round(whole.stat().st_size / 1e6),
        }
    for key, value in results.items():
        print(f"{key:32}{value}")
    record.write("resume", results)


def _write(path: Path, rows: int) -> None:
    """A Parquet file of ids and made-up texts of mixed lengths."""
    lines = texts.mixed([], rows)
    with pq.ParquetWriter(path, pa.schema([("id", pa.string()), ("text", pa.string())])) as writer:
        for start in range(0, rows, WRITTEN_AT_ONCE):
            some = lines[start : start + WRITTEN_AT_ONCE]
            ids = [f"row-{number}" for number in range(start, start + len(some))]
            writer.write_table(pa.table({"id": ids, "text": some}))


def _run(command: list[str], kill_after: float | None = None) -> Ran:
    """Run a command to its end, or kill it on the way."""
    started, most = time.perf_counter(), 0.0
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stderr=said)
        while process.poll() is None:
            most = max(most, resident_mb(process.pid, most=True))
            if kill_after is not None and time.perf_counter() - started > kill_after:
                process.kill()
            time.sleep(0.1)
        if kill_after is None and process.returncode:
            said.seek(0)
            raise SystemExit(said.read())
    return Ran(time.perf_counter() - started, most)


def _figures(ran: Ran) -> dict[str, float]:
    return {"seconds": round(ran.seconds, 1), "most MB": round(ran.most_mb)}


def _compare(one: Path, other: Path) -> None:
    """Nothing is repeated, lost or changed, or this ends the run."""
    batches = (pq.ParquetFile(path).iter_batches(1000) for path in (one, other))
    for left, right in itertools.zip_longest(*batches):
        if left is None or not left.equals(right):
            raise SystemExit("the result of the run that was killed differs")


if __name__ == "__main__":
    main()
