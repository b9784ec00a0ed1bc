"""A lane: a thread that runs one pack after another, on one core."""

import logging
import threading
import time
from typing import Any, Protocol

from embed_onnx.errors import EmbedError, InferenceFailed
from embed_onnx.scheduling import jobs
from embed_onnx.scheduling.jobs import Job, Pack
from embed_onnx.system import cpu, stop

log = logging.getLogger(__name__)


class Packs(Protocol):
    """Where a lane has its packs from: the scheduler."""

    def take(self, lane: "Lane") -> Pack:
        """Block for a lane's next pack; empty if there will be none."""

    def finish(self, pack: Pack, started: float, computed: float) -> None:
        """Count a pack as done, which began at a time and took so much processor time."""

    def fail(self, job: Job[Any], err: EmbedError) -> None:
        """Answer a job with an error, if nobody has answered it."""


class Lane:
    """A thread, and the pack that it runs, which the scheduler's lock guards."""

    def __init__(self, name: str, packs: Packs) -> None:
        self.name = name
        self.pack: Pack = []
        self.tokens = 0
        """Of the pack."""
        self.number = 0
        """Of the pack, among those of this lane."""
        self.began = 0.0
        """Processor time of the thread when it began the pack."""
        self.replaced = False
        """Whether another has taken its place, and it is to end."""
        self.stop = stop.Stop()
        """Ends the run of the pack."""
        self._packs = packs
        self._clock: int | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread.

        Raises:
            RuntimeError: The system starts none.
        """
        self._thread.start()

    def join(self, timeout: float) -> None:
        """Wait for its end."""
        self._thread.join(timeout)

    @property
    def lives(self) -> bool:
        """Whether its thread does."""
        return self._thread.is_alive()

    def begin(self, pack: Pack) -> None:
        """Have another pack from now on, in the lane's own thread; an empty one is none."""
        self.pack = pack
        self.tokens = jobs.pack_tokens(pack)
        self.number += 1
        self.stop = stop.begin()
        self.began = time.thread_time()

    def processor_time(self) -> float | None:
        """Seconds that the thread has computed; None where the system does not say."""
        if self._clock is None:
            return None
        try:
            return time.clock_gettime(self._clock)
        except OSError:
            return None

    def _work(self) -> None:
        try:
            if hasattr(time, "pthread_getcpuclockid"):
                self._clock = time.pthread_getcpuclockid(threading.get_ident())
            cpu.lower_priority()
            while self._run_next():
                pass  # and holds nothing of the last pack while it waits for another
        except BaseException:  # whatever it is, the watchdog sees that the lane is dead
            log.exception("%s ended by itself", self.name)

    def _run_next(self) -> bool:
        """Run the next pack; False if there will be none."""
        pack = self._packs.take(self)
        if pack:
            self._run(pack)
        return bool(pack)

    def _run(self, pack: Pack) -> None:
        runs = pack[0][0].runs
        started, computed = time.perf_counter(), time.thread_time()
        for job, _ in pack:
            job.started = job.started or started
        try:
            results = runs.run([job.sequences[place] for job, place in pack])
            for (job, place), result in zip(pack, results, strict=True):
                job.results[place] = result
        except Exception as err:
            if not self.stop.requested:
                self._isolate_failure(pack, err)  # a failure ends its own request; the lane lives on
        else:
            self._packs.finish(pack, started, time.thread_time() - computed)

    def _isolate_failure(self, pack: Pack, err: Exception) -> None:
        """Fail the job of a sequence that failed; of several, run them one by one to see which it was."""
        if len(pack) == 1:
            ((job, place),) = pack
            log.error("a sequence of %d tokens failed", job.lengths[place], exc_info=err)
            known = err if isinstance(err, EmbedError) else InferenceFailed(f"this is a bug: {err}")
            self._packs.fail(job, known)
            return
        log.warning("a pack of %d sequences failed and is run one by one: %s", len(pack), err)
        for job, place in pack:
            if not job.future.done():
                self._run([(job, place)])
