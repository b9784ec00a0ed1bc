"""The watchdog: which lanes died or hang, and how one that computes differs from one that hangs.

A lane that computes uses processor time. One that waits for something that never comes uses none, and is
given up after the lane timeout, however long its texts are. One that computes is given time: ten times the
timeout, or ten times what its pack should take at the measured speed if that is more; what still computes
after that goes round in circles. Processor time, as a busy machine makes a lane slow and not sick.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from embed_onnx.scheduling import jobs
from embed_onnx.scheduling.jobs import Pack
from embed_onnx.scheduling.lane import Lane
from embed_onnx.scheduling.speed import Paces

log = logging.getLogger(__name__)

PATIENCE = 10
"""How often a pack may take what it should."""
USUAL_WORK = 512
"""Tokens that the lane timeout is meant for, where no speed was measured."""
IDLE = 0.001
"""Of a core: a lane that uses less waits, though it may look every second whether it still has to."""
SICK = 3
SICK_SECONDS = 600.0
"""So many lanes replaced within so many seconds, and the process is sick."""


class Watched(Protocol):
    """What a watchdog looks after: the scheduler."""

    def in_trouble(self, look: Callable[[Lane, Paces], str]) -> list[tuple[Lane, str]]:
        """The lanes that a look finds something wrong with, and what that is; all looks under its lock."""

    def replace(self, lane: Lane, trouble: str) -> None:
        """Fail a lane's pack, and put another lane in its place.

        Raises:
            RuntimeError: The system starts no thread; the pack has failed all the same.
        """

    def end_round(self) -> bool:
        """Do what else has to be done again and again; False if there is no need of a watchdog any more."""


class Watchdog:
    """A thread that looks at every lane each second, or four times in the lane timeout if that is more often.

    ``on_sick`` is called, with the reason, if ``SICK`` lanes were replaced within ``SICK_SECONDS``.
    """

    def __init__(self, scheduler: Watched, lane_timeout: float, on_sick: Callable[[str], None]) -> None:
        self._scheduler = scheduler
        self._timeout = lane_timeout
        self._interval = min(1.0, lane_timeout / 4)
        self._on_sick = on_sick
        self._watches: dict[Lane, _Watch] = {}
        self._replaced_at: deque[float] = deque(maxlen=SICK)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="watchdog", daemon=True)

    def start(self) -> None:
        """Start the thread.

        Raises:
            RuntimeError: The system starts none.
        """
        self._thread.start()

    def close(self) -> None:
        """End the thread, and wait for that."""
        self._closed.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._closed.wait(self._interval):
            for lane, trouble in self._scheduler.in_trouble(self._look):
                self._try_to_replace(lane, trouble)
            if not self._scheduler.end_round():
                return

    def _look(self, lane: Lane, paces: Paces) -> str:
        """What is wrong with a lane, if anything is."""
        if not lane.lives:
            return "died"
        watch = self._watches.get(lane)
        if watch is None or watch.number != lane.number:
            watch = self._watches[lane] = _Watch(lane, self._timeout, paces)
        return watch.look(lane, self._interval, self._timeout) if lane.pack else ""

    def _try_to_replace(self, lane: Lane, trouble: str) -> None:
        """Replace a lane; if the system starts no thread, the next round tries again."""
        log.error("%s %s; its requests fail and another takes its place", lane.name, trouble)
        try:
            self._scheduler.replace(lane, trouble)
        except Exception:
            log.exception("nothing takes the place of %s yet", lane.name)
            return
        self._watches.pop(lane, None)
        now = time.monotonic()
        self._replaced_at.append(now)
        if len(self._replaced_at) == SICK and now - self._replaced_at[0] < SICK_SECONDS:
            self._on_sick(f"{SICK} lanes died or hung within {SICK_SECONDS:g} s")


class _Watch:
    """What the watchdog has seen of a lane since it began its pack."""

    def __init__(self, lane: Lane, timeout: float, paces: Paces) -> None:
        self.number = lane.number
        self._seconds = 0.0
        """On the pack, counted in rounds, so that time in which the process is stopped does not count."""
        self._idle = 0.0
        """Of these, the last ones, in which the lane did not compute."""
        self._computed = lane.began
        """The lane's processor time in the last round."""
        self._patience = PATIENCE * max(timeout, _expected(lane.pack, timeout, paces)) if lane.pack else 0.0
        """Seconds of processor time after which it counts as hung."""

    def look(self, lane: Lane, interval: float, timeout: float) -> str:
        """A round, so many seconds after the last: what is wrong with the lane, if anything is."""
        self._seconds += interval
        computed = lane.processor_time()
        idle = computed is not None and computed - self._computed < IDLE * interval
        self._idle = self._idle + interval if idle else 0.0
        self._computed = computed or 0.0
        spent = self._seconds if computed is None else computed - lane.began
        if self._idle > timeout or spent > self._patience:
            return f"has been at {lane.tokens} tokens for {self._seconds:.0f} s"
        return ""


def _expected(pack: Pack, timeout: float, paces: Paces) -> float:
    """Seconds of processor time that a pack should take: by what was measured, or else by the timeout."""
    work = jobs.pack_work(pack)
    measured = paces.computed(pack[0][0].runs, work)
    return timeout * work / USUAL_WORK if measured is None else measured
