"""Requests as the scheduler has them, and the packs that lanes run of them."""

import math
import time
from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from embed_onnx.scheduling.fair_queue import is_short

Vector = NDArray[np.float32]
"""[dimensions], or [sequences, dimensions]."""

QUADRATIC = 1024
"""Tokens of a sequence at which attention takes as long as all else; of 8,192 tokens, each takes nine times
as long as one of a short text."""


class Encodes(Hashable, Protocol):
    """What a lane runs: ``encoder.Encoder``."""

    dimensions: int
    pack_tokens: int
    """The most tokens of whole sequences that it wants in one call; a longer sequence goes alone.
    0: one sequence a call."""

    def encode(self, sequences: Sequence[Sequence[int]]) -> Vector:
        """Vectors [n, dimensions] of token id sequences."""


class Job:
    """One request in the scheduler. ``future`` gives its vectors, float32 [sequences, dimensions].

    Cancelling the future takes what still waits out of the queue. ``timeout`` are the seconds in which it is
    of use.
    """

    def __init__(
        self, encoder: Encodes, sequences: Sequence[Sequence[int]], timeout: float = math.inf
    ) -> None:
        self.encoder = encoder
        self.sequences = sequences
        self.future: Future[Vector] = Future()
        self.vectors: Vector = np.empty((len(sequences), encoder.dimensions), np.float32)
        self.unfinished = len(sequences)
        self.waiting_work = sum(work(len(ids)) for ids in sequences)
        """Of the sequences that no lane has taken yet."""
        self.short = is_short([len(ids) for ids in sequences], encoder.pack_tokens)
        self.submitted = time.perf_counter()
        self.timeout = timeout
        self.deadline = self.submitted + timeout
        self.started = 0.0
        self.finished = 0.0


Pack = list[tuple[Job, int]]
"""Sequences of one encoder, as jobs and places in them."""


def work(tokens: int) -> float:
    """What one sequence of so many tokens takes, in tokens of short texts."""
    return tokens * (1 + tokens / QUADRATIC)


def pack_tokens(pack: Pack) -> int:
    """Tokens of a pack."""
    return sum(len(job.sequences[place]) for job, place in pack)


def pack_work(pack: Pack) -> float:
    """What a pack takes, in tokens of short texts."""
    return sum(work(len(job.sequences[place])) for job, place in pack)
