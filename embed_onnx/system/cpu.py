"""How many cores this process may use, and which of its threads go first.

ONNX Runtime counts the host's cores and ignores container quotas, which makes a container with
half a core spin on sixty-four threads; so the number is always worked out here and handed over.
"""

import logging
import math
import os
import sys
import threading
from pathlib import Path

from embed_onnx.system import cgroup

log = logging.getLogger(__name__)

NICENESS = 5
"""Added to a thread's own: beside one without it, it has a quarter of a core (Linux's sched-nice-design)."""


def usable_cores(process: Path = cgroup.PROCESS) -> int:
    """Cores granted by CPU affinity and by the quota of the cgroups, whichever is less; at least 1.

    A quota of 1.5 cores counts as 2: two lanes that are throttled at times use all of it, one
    lane never could.
    """
    affinity = len(cores())
    quota = cgroup.cpu_quota(process)
    return affinity if quota is None else max(1, min(affinity, math.ceil(quota)))


def cores() -> set[int]:
    """The numbers of the cores that this process may run on; all of them where the system does not say."""
    try:
        return os.sched_getaffinity(0)
    except (AttributeError, OSError):  # not Linux, or a filter of system calls
        return set(range(os.cpu_count() or 1))


def lower_priority() -> None:
    """Let other threads that need a core for a moment, such as the event loop, have it before this one.

    Where every core is at work, an answer that takes the event loop 1 ms would else wait its turn among
    threads that compute for seconds. Linux alone has a priority for each thread. Where the system refuses it,
    one warning says so.
    """
    if sys.platform != "linux":
        return
    thread = threading.get_native_id()
    try:
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
    except OSError as err:
        if _warned_of_priority.acquire(blocking=False):
            log.warning(
                "the system refuses to lower the priority of threads that compute (%s), so answers may be "
                "slower under load; allow the system call setpriority",
                err.strerror,
            )


def run_on(cores: set[int]) -> None:
    """Keep this thread, and the processes that it starts, to some cores; where that is refused, to none."""
    try:
        os.sched_setaffinity(0, cores)
    except OSError as err:
        if _warned_of_affinity.acquire(blocking=False):
            log.warning(
                "the system refuses to keep each worker to cores of its own (%s), so they share all of them; "
                "allow the system call sched_setaffinity",
                err.strerror,
            )


# Each is taken for good by the thread that warns.
_warned_of_priority = threading.Lock()
_warned_of_affinity = threading.Lock()
