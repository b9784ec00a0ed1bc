"""When what waits will be done, by what was measured, and the refusal of what would be late.

The scheduler's lock guards it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from embed_onnx.errors import EmbedError, Overloaded, TimedOut
from embed_onnx.scheduling import jobs
from embed_onnx.scheduling.jobs import Job, Pack
from embed_onnx.scheduling.late import late
from embed_onnx.scheduling.speed import Paces, Speed


class Forecast:
    """Of so many lanes."""

    def __init__(self, lanes: int) -> None:
        self.pack_paces = Paces()
        """Of all packs."""
        self.long_paces = Paces()
        """Of long requests, as it is these that are refused if they would be late: for each token of a query
        of a word or two, a lane takes several times as long."""
        self._speed = Speed()
        self._lanes = lanes

    def add(self, pack: Pack, started: float, ended: float, computed: float) -> None:
        """Count a pack: when it began and ended, and the processor time of its lane."""
        self._speed.add(jobs.pack_tokens(pack), started, ended)
        first, work = pack[0][0], jobs.pack_work(pack)
        self.pack_paces.add(first.runs, work, ended - started, computed)
        if not first.short:
            self.long_paces.add(first.runs, work, ended - started, computed)

    def seconds(self, tokens: int) -> float:
        """How long so many tokens will take."""
        return self._speed.seconds(tokens)

    def late(self, order: Iterable[Job[Any]], now: float) -> list[Job[Any]]:
        """Those, of long requests in the order in which they are served, that cannot be done in time."""
        return late(order, self.long_paces, lanes=self._lanes, now=now)

    def refusal(self, job: Job[Any], order: Sequence[Job[Any]], waiting_tokens: int) -> EmbedError | None:
        """Why a new job cannot be done in time, the last of an order; None if it may be.

        ``waiting_tokens`` are those of all jobs, its own included.
        """
        if self.seconds(waiting_tokens) <= job.timeout or job not in self.late(order, job.submitted):
            return None
        others = waiting_tokens - sum(job.lengths)
        seconds = self.seconds(others)
        if self.late([job], job.submitted):
            return timed_out(job, seconds)
        return Overloaded(
            f"{others} tokens wait, and behind them this request would take longer than the "
            f"{job.timeout:.3g} s that it has; try later",
            retry_after=seconds,
        )


def timed_out(job: Job[Any], retry_after: float) -> TimedOut:
    """What the caller of a job reads that cannot be done in time."""
    return TimedOut(
        f"the request cannot be done within {job.timeout:.3g} s; send fewer inputs at a time, or send it "
        "later",
        retry_after=retry_after,
    )
