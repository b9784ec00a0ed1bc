"""Which waiting sequence runs next. Pure data: no threads, no clock, no futures.

Requests share the lanes as if each had an equal part of them all the time (fair queueing: Demers,
Keshav and Shenker, 1989). Every request carries a tag, the tokens it has been given since it came,
offset by a virtual clock that tells what a fair share would have given it; the least tag goes next,
and the one with fewer tokens left among equals. So a query that comes while a list of 2,048 texts is
being worked on goes next, and a steady stream of queries cannot hold the list up for ever.
"""

import heapq
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

Request = TypeVar("Request", bound=Hashable)


class FairQueue(Generic[Request]):
    """Sequences of many requests, handed out one by one; the order within a request is kept."""

    def __init__(self) -> None:
        self.tokens = 0
        """Tokens that wait."""
        self.sequences = 0
        """Sequences that wait."""
        self._clock = 0.0
        self._arrivals = 0
        self._heap: list[tuple[float, int, int, Request]] = []
        self._waiting: dict[Request, _Waiting] = {}

    def __len__(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    def add(self, request: Request, lengths: Sequence[int]) -> None:
        """Let a new request wait, with the number of tokens of each of its sequences (at least one)."""
        waiting = _Waiting(lengths)
        self.tokens += waiting.tokens
        self.sequences += len(lengths)
        self._waiting[request] = waiting
        self._arrivals += 1
        self._push(self._clock, self._arrivals, request)

    def take(self) -> tuple[Request, int] | None:
        """The next sequence, as its request and its place in it; None if nothing waits."""
        while self._heap:
            tag, _, arrival, request = heapq.heappop(self._heap)
            waiting = self._waiting.get(request)
            if waiting is None:  # its request was removed
                continue
            index, length = waiting.next()
            self.tokens -= length
            self.sequences -= 1
            # Never ahead of the least served by more than what it was just given: who finishes early
            # leaves a share that nobody owes the others.
            self._clock = min(self._clock + length / len(self._waiting), tag + length)
            if waiting.tokens:
                self._push(tag + length, arrival, request)
            else:
                del self._waiting[request]
            return request, index
        return None

    def remove(self, request: Request) -> None:
        """Forget what still waits of a request, if anything does."""
        waiting = self._waiting.pop(request, None)
        if waiting is not None:
            self.tokens -= waiting.tokens
            self.sequences -= waiting.sequences

    def _push(self, tag: float, arrival: int, request: Request) -> None:
        heapq.heappush(self._heap, (tag, self._waiting[request].tokens, arrival, request))


class _Waiting:
    """The rest of one request."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self._lengths = lengths
        self._taken = 0
        self.tokens = sum(lengths)

    @property
    def sequences(self) -> int:
        return len(self._lengths) - self._taken

    def next(self) -> tuple[int, int]:
        """The place and the length of the next sequence."""
        index = self._taken
        self._taken += 1
        self.tokens -= self._lengths[index]
        return index, self._lengths[index]
