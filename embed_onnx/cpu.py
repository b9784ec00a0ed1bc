"""How many cores this process may use, and which of its threads go first.

ONNX Runtime counts the host's cores and ignores container quotas, which makes a container with
half a core spin on sixty-four threads; so the number is always worked out here and handed over.
"""

import math
import os
import sys
import threading
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")

NICENESS = 5
"""Added to a thread's own: beside one without it, it has a quarter of a core (Linux's sched-nice-design)."""


def usable_cores(cgroup: Path = CGROUP) -> int:
    """Cores granted by CPU affinity and by the cgroup's quota, whichever is less; at least 1.

    A quota of 1.5 cores counts as 2: two lanes that are throttled at times use all of it, one
    lane never could.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_quota(cgroup)
    return affinity if quota is None else max(1, min(affinity, math.ceil(quota)))


def cgroup_quota(cgroup: Path = CGROUP) -> float | None:
    """Cores a second granted by cgroup v2 (``cpu.max``) or v1 (``cpu.cfs_*``), None if unlimited.

    Inside a container the mount shows the container's own group at its root, which is where
    quotas are set in practice.
    """
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text()
        granted = int(quota) / int(period)
    except (OSError, ValueError, ArithmeticError):  # absent, or "max": no quota
        return None
    return granted if granted > 0 else None  # v1 writes -1 for "no quota"


def give_way() -> None:
    """Let other threads that need a core for a moment, such as the event loop, have it before this one.

    Where every core is at work, an answer that takes the event loop 1 ms would else wait its turn among
    threads that compute for seconds. Linux alone has a priority for each thread.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
