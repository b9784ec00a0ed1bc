"""How fast lanes have been: all together, and each with what it runs, such as a model."""

import time
from typing import Any
from weakref import WeakKeyDictionary

from embed_onnx.scheduling.jobs import Runs

KEPT = 0.99
"""How much of what was measured before still counts after one more pack."""
ENOUGH = 20
"""Packs of a model after which its pace counts as measured."""
FRESH_SECONDS = 60.0
"""What was measured earlier says nothing any more: others may have used the machine then, and a pace by
which requests are refused would never be measured again."""


class Speed:
    """Tokens a second of all lanes together, measured over about the last hundred packs."""

    def __init__(self) -> None:
        self._tokens = 0.0
        self._seconds = 0.0
        self._counted = 0.0
        """Until when time has been counted: lanes work side by side, and no moment counts twice."""

    def add(self, tokens: int, started: float, ended: float) -> None:
        """Count one pack, and the time since the last one if some lane was at work."""
        seconds = max(0.0, ended - max(started, self._counted))
        self._counted = max(self._counted, ended)
        self._tokens = self._tokens * KEPT + tokens
        self._seconds = self._seconds * KEPT + seconds

    def seconds(self, tokens: int) -> float:
        """How long so many tokens will take; 1 before anything was measured."""
        if not self._tokens:
            return 1.0
        return tokens * self._seconds / self._tokens


class Paces:
    """What one lane takes for some work of each model, over about the last hundred packs of that.

    Models differ by a factor of hundreds, so what was measured of one says nothing of another.
    """

    def __init__(self) -> None:
        self._of: WeakKeyDictionary[Runs[Any], _Pace] = WeakKeyDictionary()

    def add(self, runs: Runs[Any], work: float, seconds: float, computed: float) -> None:
        """Count one pack: its work, how long it took, and the processor time of its lane."""
        pace = self._fresh(runs)
        if pace is None:
            pace = self._of[runs] = _Pace()
        pace.add(work, seconds, computed)

    def seconds(self, runs: Runs[Any], work: float) -> float | None:
        """How long a lane takes for so much work; None before that was measured."""
        pace = self._fresh(runs)
        return pace.seconds * work / pace.work if pace is not None and pace.packs >= ENOUGH else None

    def computed(self, runs: Runs[Any], work: float) -> float | None:
        """Its processor time, in the same way."""
        pace = self._fresh(runs)
        return pace.computed * work / pace.work if pace is not None and pace.packs >= ENOUGH else None

    def _fresh(self, runs: Runs[Any]) -> "_Pace | None":
        pace = self._of.get(runs)
        return None if pace is None or time.monotonic() - pace.measured > FRESH_SECONDS else pace


class _Pace:
    """Sums over the packs of a model, of which earlier ones count less and less."""

    def __init__(self) -> None:
        self.packs = 0
        self.work = 0.0
        self.seconds = 0.0
        self.computed = 0.0
        self.measured = 0.0
        """When the last pack was, on the clock of ``time.monotonic``."""

    def add(self, work: float, seconds: float, computed: float) -> None:
        self.packs += 1
        self.measured = time.monotonic()
        self.work = self.work * KEPT + work
        self.seconds = self.seconds * KEPT + seconds
        self.computed = self.computed * KEPT + computed
