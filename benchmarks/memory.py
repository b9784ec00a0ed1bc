"""What a server's models and processes take of the memory, when it is ready and after long texts.

    python -m benchmarks.memory [--requests N]

Memory is the proportional set size of all its processes: pages that several share count once. Each request is
a list of 16 texts of 256 tokens, to each model in turn, over a connection of its own.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import peers, record, texts
from benchmarks.servers import OURS, Client, Server

LONG_WORDS, LIST_TEXTS = 254, 16


@dataclass(frozen=True)
class Case:
    """A server of these models, in so many processes, each of one lane."""

    models: tuple[str, ...]
    workers: int


# All with the first model, for which Server waits.
CASES = (
    Case((peers.SMALL,), 1),
    Case(peers.MODELS, 1),
    Case((peers.SMALL,), 2),
    Case(peers.MODELS, 2),
)


def main() -> None:
    """Measure, and write results/memory.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--requests", type=int, default=6, help="to each model")
    arguments = parser.parse_args()
    rows = [_measure(case, arguments.requests) for case in CASES]
    for row in rows:
        print(row)
    record.write("memory", {"cases": rows})


def _measure(case: Case, requests: int) -> dict[str, Any]:
    inputs = texts.of_words(LIST_TEXTS, LONG_WORDS)
    with tempfile.TemporaryDirectory() as folder:
        for model in case.models:
            (Path(folder) / model).symlink_to(peers.artifact(model))
        flags = ["--artifacts", folder, "--models", f"{folder}/none.txt"]
        flags += ["--workers", str(case.workers), "--threads", str(case.workers)]
        with Server(OURS, *flags) as server:
            ready = proportional_mb(server.process.pid)
            for model in case.models * requests:
                answer, _ = Client(server.port).post("/v1/embeddings", {"model": model, "input": inputs})
                assert answer.status == 200
            after = proportional_mb(server.process.pid)
    sizes = [(peers.artifact(model) / "model.onnx").stat().st_size for model in case.models]
    return asdict(case) | {"files": round(sum(sizes) / 1e6), "ready": round(ready), "after": round(after)}


def proportional_mb(pid: int) -> float:
    """The proportional set size of a process and of those that it started."""
    return sum(_own_mb(each) for each in (pid, *_children(pid)))


def _own_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    (kilobytes,) = (int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes * 1024 / 1e6


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield int(child)
            yield from _children(int(child))


if __name__ == "__main__":
    main()
