"""How long this process has been there."""

import os
import time
from pathlib import Path

START_FIELD = 19
"""Of /proc/self/stat, from the state on: ticks from the system's start to the process's (proc(5))."""


def seconds() -> float:
    """Since the process was started, its imports included."""
    fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(") ")[2].split()
    started = int(fields[START_FIELD]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started
