"""Which waiting sequences run next. Pure data: no threads, no clock, no futures.

They are handed out in packs: whole sequences of one key, up to a number of tokens; a longer sequence
goes alone. A request that one full pack finishes is short, say a query; any other is long, say a list
of 2,048 texts.

- A pack holds short requests, or a part of one long request: a query that comes while lists are being
  worked on goes next, however many they are, and none of them is in its pack.
- Of the short, the one that equal shares of the lanes would finish first goes first (fair queueing:
  Demers, Keshav and Shenker, 1989). The shorter pass the longer, but nobody is passed for ever.
- The long are served to the end, one after the other: the one with the fewest tokens left is next, the
  oldest of equals (shortest remaining processing time: Schrage, 1968). Taking turns, equal ones would all
  finish last. One that waits ages: each token that it would have been given in equal turns counts as
  ``AGEING`` tokens less. So one that is much smaller than those before it goes first, and a huge one goes
  at the latest when equal turns would have given it 1 / ``AGEING`` times its tokens. It then takes turns with
  the one that has the fewest left, a pack each: a rerank of 100 documents does not wait for the whole of a
  list of 2,048 texts whose time has come.
- A steady stream of the short cannot hold the long up for ever. When a pack's worth of tokens has passed
  them, one pack of theirs goes; it is n packs' worth if the short are n times as many, so that one list
  does not take half the lanes from a crowd.
- A pack is at most an equal part of what waits, so that no lane idles while another one works through
  the rest (guided self-scheduling: Polychronopoulos and Kuck, 1987).
- A quick request has so few tokens that it need not wait for a lane that works on more: there are packs
  of the quick alone.
"""

import heapq
import math
from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, TypeVar

SMALL_PACK = 32
"""Tokens. So few are not split into packs of their own: the fixed cost of a pack would eat the gain."""
QUICK_TOKENS = 64
"""Tokens of a quick request, at most, and of a pack of such requests."""

AGEING = 0.25
"""Of what equal turns would have given to a long request that waits."""

Request = TypeVar("Request", bound=Hashable)

Rank = tuple[float, int, int]
"""A number that orders requests, the tokens that are left, and the arrival: the least goes first."""


def is_short(lengths: Sequence[int], pack_tokens: int) -> bool:
    """Whether one full pack finishes a request, by the tokens of its sequences."""
    return len(lengths) == 1 or sum(lengths) <= pack_tokens


class FairQueue(Generic[Request]):
    """Sequences of many requests, handed out in packs to ``lanes``; the order within a request is kept."""

    def __init__(self, lanes: int = 1) -> None:
        self.tokens = 0
        """Tokens that wait."""
        self.sequences = 0
        """Sequences that wait."""
        self._lanes = lanes
        self._arrivals = 0
        self._waiting: dict[Request, _Waiting] = {}
        self._short: dict[tuple[bool, Hashable], _Line[Request]] = {}
        """By whether they are quick, and key; ranked by what the clock shows when an equal share would
        have finished them."""
        self._clock = 0.0
        """What an equal share of all that was given to the short comes to."""
        self._long: _Line[Request] = _Line()
        """Ranked by the tokens that are left, and what the clock of the long showed when they came."""
        self._fewest: _Line[Request] = _Line()
        """The same requests, ranked by the tokens that are left alone."""
        self._by_age = False
        """Whether the last pack of the long was of one with more tokens left than another."""
        self._long_clock = 0.0
        """What equal turns would have given to a long one that was always here."""
        self._passed = 0.0
        """Tokens of the short that passed the long since one of these had a turn."""

    def __len__(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    def __contains__(self, request: object) -> bool:
        """Whether something of a request waits."""
        return request in self._waiting

    def add(
        self, request: Request, lengths: Sequence[int], *, key: Hashable = None, pack_tokens: int = 0
    ) -> None:
        """Let a new request wait, with the number of tokens of each of its sequences (at least one).

        ``pack_tokens`` goes with ``key``: the most tokens of its packs, or 0 for one sequence a pack.
        """
        self._arrivals += 1
        waiting = _Waiting(lengths, key, pack_tokens, self._arrivals)
        self._waiting[request] = waiting
        self.tokens += waiting.tokens
        self.sequences += waiting.sequences
        if waiting.short:
            line = self._short.setdefault(waiting.line, _Line())
            line.put(request, waiting.rank(self._clock + waiting.tokens))
        else:
            if not self._long:
                self._passed = 0.0
            waiting.came = AGEING * self._long_clock
            self._rank_long(request)

    def order(self) -> list[Request]:
        """The long, in the order in which they would be served if nobody else came."""
        return self._long.order()

    def take(self) -> list[tuple[Request, int]]:
        """The next pack, as requests and places in them; empty if nothing waits."""
        if self._short and not self._long_is_due():
            return self._take_short(self._short.values())
        if self._long:
            return self._take_long()
        return []

    @property
    def has_quick(self) -> bool:
        """Whether a quick request waits."""
        return any(quick for quick, _ in self._short)

    def take_quick(self) -> list[tuple[Request, int]]:
        """The next pack of quick requests; empty if none waits."""
        lines = [line for (quick, _), line in self._short.items() if quick]
        return self._take_short(lines, QUICK_TOKENS) if lines else []

    def remove(self, request: Request) -> None:
        """Forget what still waits of a request, if anything does."""
        waiting = self._waiting.pop(request, None)
        if waiting is None:
            return
        self.tokens -= waiting.tokens
        self.sequences -= waiting.sequences
        if not waiting.short:
            self._long.remove(request)
            self._fewest.remove(request)
            return
        line = self._short[waiting.line]
        line.remove(request)
        if not line:
            del self._short[waiting.line]

    def _long_is_due(self) -> bool:
        """Whether the short have passed the long by as much as a pack of these."""
        first = self._long.first()
        return first is not None and self._passed >= self._waiting[first].pack

    def _take_short(
        self, lines: Iterable["_Line[Request]"], most: float = math.inf
    ) -> list[tuple[Request, int]]:
        short = len(self._waiting) - len(self._long)
        line = min(lines, key=_Line.least)
        pack, tokens = self._fill(iter(line.first, None), most)
        self._clock += tokens / short
        self._passed += tokens * min(1.0, len(self._long) / short)
        return pack

    def _take_long(self) -> list[tuple[Request, int]]:
        request = self._next_long()
        waiting, among = self._waiting[request], len(self._long)
        pack, tokens = self._fill([request])
        self._long_clock += tokens / among
        self._passed = 0.0
        if waiting.sequences:
            self._rank_long(request)
        return pack

    def _next_long(self) -> Request:
        """The first by rank; if it owes that to its age, in turns with the one that has the fewest left."""
        _, first = self._long.least()
        _, shortest = self._fewest.least()
        self._by_age = first != shortest and not self._by_age
        return first if self._by_age else shortest

    def _rank_long(self, request: Request) -> None:
        waiting = self._waiting[request]
        self._long.put(request, waiting.rank(waiting.came + waiting.tokens))
        self._fewest.put(request, waiting.rank(waiting.tokens))

    def _fill(
        self, requests: Iterable[Request], most: float = math.inf
    ) -> tuple[list[tuple[Request, int]], int]:
        """A pack of their next sequences, up to the first that does not fit, and its tokens.

        It is not passed by a later one that fits: a pack would gain little, and the order would be lost.
        """
        pack: list[tuple[Request, int]] = []
        tokens, room = 0, 0.0
        for request in requests:
            waiting = self._waiting[request]
            if not pack:
                room = min(self._room(waiting), most)
            elif waiting.tokens > max(tokens, SMALL_PACK - tokens):
                break  # one that is longer than all before it would delay them for more than a pack costs
            while waiting.sequences and tokens + waiting.length <= room:
                tokens += waiting.length
                pack.append((request, waiting.next()))
            if waiting.sequences:
                break
            self.remove(request)
        self.tokens -= tokens
        self.sequences -= len(pack)
        return pack, tokens

    def _room(self, first: "_Waiting") -> int:
        """The most tokens of a pack that begins with a request."""
        share = max(SMALL_PACK, -(-self.tokens // self._lanes))
        return max(min(first.pack_tokens, share), first.length)


class _Waiting:
    """The rest of one request."""

    def __init__(self, lengths: Sequence[int], key: Hashable, pack_tokens: int, arrival: int) -> None:
        self.pack_tokens = pack_tokens
        self.tokens = sum(lengths)
        self.short = is_short(lengths, pack_tokens)
        self.line = self.short and self.tokens <= QUICK_TOKENS, key
        self.came = 0.0
        """What a long one's age is counted from."""
        self._lengths = lengths
        self._arrival = arrival
        self._taken = 0

    @property
    def sequences(self) -> int:
        return len(self._lengths) - self._taken

    @property
    def length(self) -> int:
        """Tokens of the next sequence."""
        return self._lengths[self._taken]

    @property
    def pack(self) -> int:
        """The most tokens that its next pack can have."""
        return max(self.pack_tokens, self.length)

    def rank(self, tag: float) -> Rank:
        return tag, self.tokens, self._arrival

    def next(self) -> int:
        """The place of the next sequence, which waits no longer."""
        place = self._taken
        self.tokens -= self.length
        self._taken += 1
        return place


class _Line(Generic[Request]):
    """Requests by rank. Ranks are all different: each holds the arrival."""

    def __init__(self) -> None:
        self._ranks: dict[Request, Rank] = {}
        self._heap: list[tuple[Rank, Request]] = []

    def __len__(self) -> int:
        return len(self._ranks)

    def put(self, request: Request, rank: Rank) -> None:
        """Let a request join, or give it another rank."""
        self._ranks[request] = rank
        heapq.heappush(self._heap, (rank, request))

    def remove(self, request: Request) -> None:
        del self._ranks[request]

    def least(self) -> tuple[Rank, Request]:
        """The first request, with its rank. The line must not be empty."""
        # What was removed or ranked anew stays in the heap until it comes up.
        while self._ranks.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0]

    def order(self) -> list[Request]:
        """All of them, by rank."""
        return sorted(self._ranks, key=self._ranks.__getitem__)

    def first(self) -> Request | None:
        """The first request, if one waits."""
        return self.least()[1] if self else None
