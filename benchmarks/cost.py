"""What embedding costs: core-seconds by texts, tokens and the model's size; and what this machine says.

    python -m benchmarks.cost --texts 10000000 --tokens 120 --layers 6 --width 384 --cores 8 --price 0.04
    python -m benchmarks.cost --check [--rounds N]

A core-second is a second of one core that does nothing else. Costs are computed from the tokens a second of
results/speed.json, which has models of two sizes; between and beyond them, cost is a power of the products
(MACs) that a token takes. A lane is a core and needs no other, so cost does not depend on how many there are.

``--check`` embeds made-up texts with the models of ``python -m benchmarks.peers``, in turns, and compares the
processor's time with what was computed. That time, unlike a clock's, is about the same on a busy machine.
"""

import argparse
import math
import statistics
import time
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks import peers, record, stats, texts
from benchmarks.engines import OURS
from benchmarks.speed import MIXED
from embed_onnx import Model
from embed_onnx.models.options import Options

SHAPES = {peers.SMALL: (6, 384), peers.BASE: (12, 768)}
"""Layers and width of the models that were measured."""
MILLION = 1_000_000


@dataclass(frozen=True)
class Work:
    """Texts of so many tokens each, for a model of so many layers of that width."""

    texts: int
    tokens: float
    layers: int
    width: int

    @property
    def macs_per_token(self) -> float:
        """Of a BERT whose inner layer is four times as wide: its weights, and attention to every token."""
        return self.layers * (12 * self.width**2 + 2 * self.width * self.tokens)


def core_seconds(work: Work, speed: dict[str, Any]) -> float:
    """The cost of all texts, computed from a results file of ``benchmarks.speed``."""
    (macs, cost), (other_macs, other_cost) = (_measured(model, speed) for model in SHAPES)
    power = math.log(other_cost / cost) / math.log(other_macs / macs)
    per_token = cost * (work.macs_per_token / macs) ** power
    return work.texts * work.tokens * per_token


def _measured(model: str, speed: dict[str, Any]) -> tuple[float, float]:
    """MACs and core-seconds of a token, over texts of mixed lengths."""
    cell = speed["results"]["models"][model]["cells"][MIXED]
    layers, width = SHAPES[model]
    work = Work(cell["texts"], cell["tokens"] / cell["texts"], layers, width)
    tokens_per_second = cell["engines"][OURS]["tokens_per_second"][1]
    return work.macs_per_token, speed["machine"]["cores"] / tokens_per_second


@dataclass(frozen=True)
class Case:
    """What ``--check`` embeds."""

    model: str
    texts: int
    words: int
    lanes: int


CASES = (
    Case(peers.SMALL, 300, 14, 2),
    Case(peers.SMALL, 75, 62, 2),
    Case(peers.SMALL, 150, 62, 2),
    Case(peers.SMALL, 75, 62, 1),
    Case(peers.SMALL, 24, 198, 2),
    Case(peers.BASE, 12, 62, 2),
)
"""Short, middling and long texts, twice as many, one lane, and a larger model."""


def check(rounds: int) -> list[dict[str, Any]]:
    """Computed and measured core-seconds for a million tokens, a row a case."""
    speed = record.read("speed")
    taken: dict[Case, list[float]] = {case: [] for case in CASES}
    tokens: dict[Case, int] = {}
    for _ in range(rounds):
        for case in CASES:
            tokens[case], seconds = _embed(case)
            taken[case].append(seconds)
    rows = []
    for case in CASES:
        work = Work(case.texts, tokens[case] / case.texts, *SHAPES[case.model])
        computed = core_seconds(work, speed) / tokens[case] * MILLION
        measured = statistics.median(taken[case]) / tokens[case] * MILLION
        rows.append(
            asdict(case)
            | {
                "tokens": tokens[case],
                "computed": stats.rounded(computed),
                "measured": stats.rounded(measured),
                "ratio": stats.rounded(measured / computed),
            }
        )
    return rows


def _embed(case: Case) -> tuple[int, float]:
    """Tokens of a case, and the processor's seconds that they took."""
    inputs = texts.of_words(case.texts, case.words)
    with Model.load(peers.artifact(case.model), threads=case.lanes) as model:
        model.encode(inputs[:4])
        started = time.process_time()
        embedded = model.embed_now(inputs, Options())
        return embedded.num_tokens, time.process_time() - started


def main() -> None:
    """Compute a cost, or write results/cost.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=int, default=MILLION)
    parser.add_argument("--tokens", type=float, default=100, help="of a text, special tokens included")
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--cores", type=int, default=2, help="of all machines together")
    parser.add_argument("--price", type=float, help="of an hour of one core")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.check:
        rows = check(arguments.rounds)
        for row in rows:
            print(row)
        record.write("cost", {"rounds": arguments.rounds, "cases": rows})
        return
    work = Work(arguments.texts, arguments.tokens, arguments.layers, arguments.width)
    hours = core_seconds(work, record.read("speed")) / 3600
    print(f"{work.texts * work.tokens:,.0f} tokens: {hours:,.1f} core-hours")
    print(f"on {arguments.cores} cores: {hours / arguments.cores:,.1f} hours")
    if arguments.price is not None:
        print(f"price: {hours * arguments.price:,.2f}")


if __name__ == "__main__":
    main()
