"""Requests: what is in them, and when they are due."""

import itertools
import time
from collections.abc import Iterator

from benchmarks import peers, texts

Request = tuple[float, list[str]]
"""When it is due, by ``time.perf_counter``, and its texts."""


class Pool:
    """Texts to draw requests from, the same at every run."""

    def __init__(self, mixed: list[str]) -> None:
        self._mixed = mixed
        self._tokens = peers.token_counts(peers.SMALL, mixed)

    def short(self) -> Iterator[list[str]]:
        """Single texts of 8 tokens, none twice."""
        return (texts.of_words(1, 6, seed=seed) for seed in itertools.count())

    def singles(self) -> Iterator[list[str]]:
        """Single texts of mixed lengths."""
        return ([text] for text in itertools.cycle(self._mixed))

    def lists(self, size: int) -> Iterator[tuple[list[str], int]]:
        """Lists of mixed lengths, and how many tokens they have."""
        for start in itertools.count(step=size):
            places = [place % len(self._mixed) for place in range(start, start + size)]
            yield [self._mixed[place] for place in places], sum(self._tokens[place] for place in places)


def closed(lists: Iterator[list[str]], seconds: float) -> Iterator[Request]:
    """Requests that are due when somebody takes them, for so long."""
    end = time.perf_counter() + seconds
    while (now := time.perf_counter()) < end:
        yield now, next(lists)


def at_rate(lists: Iterator[list[str]], rate: float, seconds: float) -> Iterator[Request]:
    """Requests that are due at even distances, for so long."""
    start = time.perf_counter()
    for number in range(round(rate * seconds)):
        yield start + number / rate, next(lists)
