"""Reranking: a query of 8 words with 10, 100 and 1,000 documents of mixed lengths, by ours and other engines.

    python -m benchmarks.rerank [--rounds N] [--seconds S]

``python -m benchmarks.peers`` must have run before, with a checkpoint of ``benchmarks.train_reranker``.
Engines and turns are as in ``benchmarks.speed``; a server has one connection. Whether an engine computes the
same is seen by the rank correlation of its scores with PyTorch's.
"""

import argparse
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from benchmarks import engines, peers, record, rerankers, stats, texts, turns
from benchmarks.engines import Worker
from embed_onnx_export.report import environment
from embed_onnx_export.report.scores import spearman

CANDIDATES = (10, 100, 1000)
RANKED = 100
"""Documents whose scores are compared."""

Rounds = dict[str, list[float]]
"""The median of each round, by engine."""


def main() -> None:
    """Measure, and write results/rerank.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--candidates", type=int, nargs="*", default=CANDIDATES)
    parser.add_argument(
        "--engines", nargs="*", default=[""], help="ours and PyTorch, and those with one of these in the name"
    )
    turns.add_arguments(parser, rounds=5, seconds=0.5)
    arguments = parser.parse_args()

    here = environment.describe()
    rows = {
        name: row
        for name, row in rerankers.rerankers(here.cores, here.instructions).items()
        if name in (engines.OURS, engines.PYTORCH) or any(part in name for part in arguments.engines)
    }
    cells = {}
    with engines.started(rows) as workers:
        agreement = _agreement(workers)
        for candidates in arguments.candidates:
            cells[str(candidates)] = _measure(candidates, workers, arguments)
        versions = {name: worker.versions for name, worker in workers.items()}
    results = {"rounds": arguments.rounds, "seconds": arguments.seconds, "query words": peers.QUERY_WORDS}
    record.write("rerank", results | {"candidates": cells, "spearman": agreement, "engines": versions})


def _inputs(candidates: int) -> list[str]:
    """A query, and so many documents."""
    return [*texts.of_words(1, peers.QUERY_WORDS), *texts.mixed([], candidates)]


def _agreement(workers: dict[str, Worker]) -> dict[str, float]:
    """The rank correlation of each engine's scores with PyTorch's."""
    scores = engines.results(workers, _inputs(RANKED))
    return {name: round(spearman(one, scores[engines.PYTORCH]), 4) for name, one in scores.items()}


def _measure(candidates: int, workers: dict[str, Worker], arguments: argparse.Namespace) -> dict[str, Any]:
    inputs = _inputs(candidates)
    taken: Rounds = {name: [] for name in workers}
    for medians in turns.rounds(workers, inputs, arguments):
        for name, median in medians.items():
            taken[name].append(median)
    rows = {name: _summary(times, taken[engines.OURS], candidates) for name, times in taken.items()}
    tokens = _pair_tokens(inputs)
    print(f"{candidates} candidates, {tokens} tokens")
    for name, row in rows.items():
        (_, ms, _), (_, rate, _) = row["ms"], row["candidates_per_second"]
        print(f"  {name:48}{ms:10} ms {rate:10,.0f} a second  {row['ratio']}", flush=True)
    return {"tokens": tokens, "engines": rows}


def _summary(times: list[float], ours: list[float], candidates: int) -> dict[str, Any]:
    """Quartiles; ``ratio``: how many times as long as ours in process an engine takes."""
    seconds = np.array(times)
    return {
        "ms": stats.quartiles(seconds * 1e3),
        "candidates_per_second": stats.quartiles(candidates / seconds),
        "ratio": stats.quartiles(seconds / np.array(ours)),
    }


def _pair_tokens(inputs: list[str]) -> int:
    """Tokens of the query with each document, special tokens included."""
    query, *documents = inputs
    words = Tokenizer.from_file(str(peers.files(peers.RERANKER) / "tokenizer.json"))
    words.enable_truncation(peers.PAIR_TOKENS)
    words.no_padding()
    return sum(len(item) for item in words.encode_batch([(query, document) for document in documents]))


if __name__ == "__main__":
    main()
