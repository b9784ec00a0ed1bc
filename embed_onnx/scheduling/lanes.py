"""The lanes of a scheduler: so many for all packs, and one more for quick requests. Its lock guards them."""

import time
from collections.abc import Iterator
from numbers import Integral

from embed_onnx.errors import SetupError
from embed_onnx.scheduling.fair_queue import QUICK_TOKENS
from embed_onnx.scheduling.lane import Lane, Packs

MOST_LANES = 1024


def checked(number: object) -> int:
    """A number of lanes. Callers in Python may pass anything; numpy's integers are numbers, too.

    Raises:
        SetupError: It is none, or too large.
    """
    if not isinstance(number, Integral) or not 1 <= int(number) <= MOST_LANES:
        raise SetupError(f"threads is {number!r}; give a whole number from 1 to {MOST_LANES:,}")
    return int(number)


class Lanes:
    """So many, and the quick one; not started at first."""

    def __init__(self, number: int, packs: Packs) -> None:
        self.quick = Lane("lane-quick", packs)
        self.started = False
        self._packs = packs
        self._others = [Lane(f"lane-{place}", packs) for place in range(number)]
        self._lost: list[Lane] = []
        """Those that were replaced, and may still run something."""

    def __iter__(self) -> Iterator[Lane]:
        return iter([*self._others, self.quick])

    def start(self) -> None:
        """Start their threads.

        Raises:
            RuntimeError: The system starts no more.
        """
        for lane in self:
            lane.start()
        self.started = True

    def join(self, seconds: float) -> None:
        """Wait for the ends of their threads, for so long in all."""
        end = time.monotonic() + seconds
        for lane in self if self.started else ():
            lane.join(max(0.0, end - time.monotonic()))

    @property
    def at_rest(self) -> bool:
        """Whether none has a pack, those included that were replaced."""
        return not any(lane.pack for lane in self) and not any(lane.lives for lane in self._lost)

    @property
    def busy(self) -> bool:
        """Whether each but the quick one has a pack of more tokens than a quick one."""
        return all(lane.tokens > QUICK_TOKENS for lane in self._others)

    def give_up(self, lane: Lane) -> None:
        """Have one take no more packs."""
        lane.replaced = True
        self._lost = [other for other in (*self._lost, lane) if other.lives]

    def replace(self, lane: Lane) -> None:
        """Put a new one in the place of one that was given up.

        Raises:
            RuntimeError: The system starts no thread.
        """
        other = Lane(lane.name, self._packs)
        other.start()
        if lane is self.quick:
            self.quick = other
        else:
            self._others[self._others.index(lane)] = other
