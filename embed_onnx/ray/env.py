"""Ray as this project uses it: nothing is reported to anyone, and an actor uses the cores that it has."""

import math
import os

import ray

# Ray reports how it is used unless this says not to; it reads this when it starts.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


def cores() -> int:
    """Cores that Ray counts for this actor, at least 1; 1.5 are 2, which use all of it.

    Ray books cores and binds no process to them: without this, every actor would use the whole machine.
    """
    booked: float = ray.get_runtime_context().get_assigned_resources().get("CPU", 1)
    return max(1, math.ceil(booked))
