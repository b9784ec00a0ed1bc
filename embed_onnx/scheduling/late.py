"""Which of the requests that wait cannot be done in time any more. Pure data: no clock, no threads.

Each is given up only if it would be late at ``HOPE`` times the measured speed, with every lane at work on it
and on nothing but what goes before it for the same tenant. Where nothing was measured, nothing is late.
"""

from collections.abc import Iterable
from typing import Any

from embed_onnx.scheduling.jobs import Job
from embed_onnx.scheduling.speed import Paces

HOPE = 1.5
"""How much faster than it was measured to be the machine may turn out: others may have been using it."""


def late(order: Iterable[Job[Any]], paces: Paces, *, lanes: int, now: float) -> list[Job[Any]]:
    """Those, of jobs in the order in which they are served, whose deadline is too near; they wait no more.

    ``now`` is on the clock of the deadlines.
    """
    too_late = []
    before = 0.0
    for job in order:
        own = paces.seconds(job.runs, job.waiting_work) or 0.0
        if now + (before + own) / (HOPE * lanes) > job.deadline:
            too_late.append(job)
        else:
            before += own
    return too_late
