"""A lane: a thread that runs packs, and how its watchdog tells one that computes from one that hangs.

A lane that computes uses processor time. One that waits for something that never comes uses none, and is
given up after the lane timeout, however long its texts are. One that computes is given time: ten times the
timeout, or ten times what its pack should take at the measured speed if that is more; what still computes
after that goes round in circles. Processor time, as a busy machine makes a lane slow and not sick.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Self

from embed_onnx.scheduling import jobs
from embed_onnx.scheduling.jobs import Pack
from embed_onnx.scheduling.speed import Paces
from embed_onnx.system import cpu, stop

log = logging.getLogger(__name__)

PATIENCE = 10
"""How often a pack may take what it should."""
USUAL_WORK = 512
"""Tokens that the lane timeout is meant for, where no speed was measured."""
IDLE = 0.001
"""Of a core: a lane that uses less waits, though it may look every second whether it still has to."""


class Lane:
    """A thread that runs packs, and what it is at, which the scheduler's lock guards."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pack: Pack = []
        self.tokens = 0
        """Of the pack."""
        self.replaced = False
        self.stop = stop.Stop()
        """Ends the run of the pack."""
        self.seconds = 0.0
        """That it has been at the pack, by the watchdog's rounds: none pass while the process is stopped."""
        self._idle = 0.0
        """Those of them, up to now, in which it did not compute."""
        self._patience = 0.0
        """Seconds of processor time after which it counts as hung; none before the first round."""
        self._began = 0.0
        self._looked = 0.0
        """Its processor time, at the pack's beginning and in the last round."""
        self._clock: int | None = None

    def start(self, work: Callable[[Self], None]) -> None:
        """Run ``work(self)`` in the thread.

        Raises:
            RuntimeError: The system starts none.
        """

        def run() -> None:
            try:
                if hasattr(time, "pthread_getcpuclockid"):
                    self._clock = time.pthread_getcpuclockid(threading.get_ident())
                cpu.give_way()
                work(self)
            except BaseException:  # whatever it is, the watchdog finds the lane dead
                log.exception("%s ended by itself", self.name)

        self._thread = threading.Thread(target=run, name=self.name, daemon=True)
        self._thread.start()

    @property
    def lives(self) -> bool:
        """Whether its thread does."""
        return self._thread.is_alive()

    def begin(self, pack: Pack) -> None:
        """Be at a pack from now on, in the lane's own thread; an empty one is none."""
        self.pack = pack
        self.tokens = jobs.pack_tokens(pack)
        self.stop = stop.begin()
        self.seconds = self._idle = self._patience = 0.0
        self._began = self._looked = time.thread_time()

    def look(self, interval: float, timeout: float, paces: Paces) -> str:
        """The watchdog's round, so many seconds after the last: what is wrong with it, if anything is."""
        if not self.lives:
            return "died"
        if not self.pack:
            return ""
        if not self._patience:
            self._patience = PATIENCE * max(timeout, _expected(self.pack, timeout, paces))
        self.seconds += interval
        computed = self._processor_time()
        idle = computed is not None and computed - self._looked < IDLE * interval
        self._idle = self._idle + interval if idle else 0.0
        self._looked = computed or 0.0
        spent = self.seconds if computed is None else computed - self._began
        if self._idle > timeout or spent > self._patience:
            return f"has been at {self.tokens} tokens for {self.seconds:.0f} s"
        return ""

    def _processor_time(self) -> float | None:
        """Seconds that the thread has computed; None where the system does not say."""
        if self._clock is None:
            return None
        try:
            return time.clock_gettime(self._clock)
        except OSError:
            return None

    def join(self, timeout: float) -> None:
        """Wait for its end."""
        self._thread.join(timeout)


def _expected(pack: Pack, timeout: float, paces: Paces) -> float:
    """Seconds of processor time that a pack should take: by what was measured, or else by the timeout."""
    work = jobs.pack_work(pack)
    measured = paces.computed(pack[0][0].runs, work)
    return timeout * work / USUAL_WORK if measured is None else measured
