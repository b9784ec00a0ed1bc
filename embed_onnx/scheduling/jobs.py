"""Requests as the scheduler has them, and the packs that lanes run of them."""

import math
import time
from collections.abc import Hashable, Iterable, Sequence, Sized
from concurrent.futures import Future
from typing import Any, Generic, Protocol, TypeVar

from embed_onnx.scheduling.fair_queue import is_short

QUADRATIC = 1024
"""Tokens of a sequence at which attention takes as long as all else; of 8,192 tokens, each takes nine times
as long as one of a short text."""


class Places(Protocol):
    """Results of some sequences, each of which is set by its place."""

    def __setitem__(self, place: int, result: Any, /) -> None: ...


Results = TypeVar("Results", bound=Places)
Results_co = TypeVar("Results_co", bound=Places, covariant=True)


class Runs(Hashable, Protocol[Results_co]):
    """What a lane runs: ``engine.inference.Inference``. Sequences for equal ones share packs."""

    pack_tokens: int
    """The most tokens of whole sequences that it wants in one call; a longer sequence goes alone.
    0: one sequence a call."""

    def empty(self, count: int) -> Results_co:
        """Room for so many results."""

    def run(self, sequences: Sequence[Any]) -> Iterable[Any]:
        """A result for each sequence, in their order."""


class Job(Generic[Results]):
    """One request in the scheduler. ``future`` gives a result for each of its sequences, by their places.

    A sequence is known by its length, in tokens. Cancelling the future takes what still waits out of the
    queue. ``timeout`` are the seconds in which it is of use.
    """

    def __init__(self, runs: Runs[Results], sequences: Sequence[Sized], timeout: float = math.inf) -> None:
        self.runs = runs
        self.sequences = sequences
        self.lengths = [len(sequence) for sequence in sequences]
        self.future: Future[Results] = Future()
        self.results = runs.empty(len(sequences))
        self.unfinished = len(sequences)
        self.waiting_work = sum(map(work, self.lengths))
        """Of the sequences that no lane has taken yet."""
        self.short = is_short(self.lengths, runs.pack_tokens)
        self.submitted = time.perf_counter()
        self.timeout = timeout
        self.deadline = self.submitted + timeout
        self.started = 0.0
        self.finished = 0.0


Pack = list[tuple[Job[Any], int]]
"""Sequences that run together, as jobs and places in them."""


def work(tokens: int) -> float:
    """What one sequence of so many tokens takes, in tokens of short texts."""
    return tokens * (1 + tokens / QUADRATIC)


def pack_tokens(pack: Pack) -> int:
    """Tokens of a pack."""
    return sum(job.lengths[place] for job, place in pack)


def pack_work(pack: Pack) -> float:
    """What a pack takes, in tokens of short texts."""
    return sum(work(job.lengths[place]) for job, place in pack)
