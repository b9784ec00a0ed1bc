"""How fast engines are: in turns, on as much as takes long enough to time."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
import numpy as np

from embed_onnx_export.report.card import Speed

T = TypeVar("T")
Run = Callable[[Sequence[T]], object]
"""Computes something of each item of a list."""

BATCHES = (8, 32)
"""Of these PyTorch gets the faster one: small ones pad less, large ones keep more cores busy."""
ROUNDS = 5
TURN_SECONDS = 1.5
"""About so long each engine runs in a round, if 32 to 400 items are enough for that."""
SAMPLE = 32
"""Items by which the number of those is estimated."""
PAUSE = 0.05
"""Threads of the engine before may spin for a moment."""


class Timing(msgspec.Struct, frozen=True):
    """So many items, of so many tokens together, and the speed of each engine by its name."""

    items: int
    tokens: int
    speeds: Mapping[str, Speed]


def timed(
    engines: Mapping[str, Run[T]],
    first: str,
    items_of: Callable[[int], Sequence[T]],
    num_tokens: Callable[[Sequence[T]], int],
) -> Timing:
    """Time the engines on as many items as the ``first`` computes in one turn."""
    items = timed_items(engines[first], items_of)
    tokens = num_tokens(items)
    return Timing(len(items), tokens, speeds(engines, items, tokens))


def best_batch(run_of: Callable[[int], Run[T]], items: Sequence[T]) -> int:
    """The batch size that is fastest for some items; ``run_of`` makes the engine of a size."""
    run_of(BATCHES[0])(items)  # not counted: lazy allocations
    return min(BATCHES, key=lambda batch: _seconds(run_of(batch), items))


def timed_items(run: Run[T], items_of: Callable[[int], Sequence[T]]) -> Sequence[T]:
    """As many items as this engine computes in one turn; ``items_of`` makes so many."""
    few = items_of(SAMPLE)
    return items_of(int(np.clip(SAMPLE * TURN_SECONDS / _seconds(run, few), 32, 400)))


def speeds(engines: Mapping[str, Run[T]], items: Sequence[T], tokens: int) -> dict[str, Speed]:
    """Tokens a second of each, for items of so many tokens; in turns, as the machine has its spells."""
    names = list(engines)
    rates: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        engines[name](items)  # not counted: lazy allocations
    for turn in range(ROUNDS):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            time.sleep(PAUSE)
            rates[name].append(tokens / _seconds(engines[name], items))
    return {
        name: Speed(median=float(np.median(figures)), least=min(figures), most=max(figures))
        for name, figures in rates.items()
    }


def _seconds(run: Run[T], items: Sequence[T]) -> float:
    started = time.perf_counter()
    run(items)
    return time.perf_counter() - started
