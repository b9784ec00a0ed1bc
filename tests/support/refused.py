"""Runs a command to which the system refuses some calls: ``refused.py CALLS ERROR COMMAND ...``.

CALLS are parted by commas. ERROR names what they fail with: EPERM, as with systemd's ``~@resources``, or
ENOSYS, as in sandboxes that do not know them.
"""

import errno
import os
import sys

from pyseccomp import ALLOW, ERRNO, SyscallFilter

RESOURCES = (
    "ioprio_set", "mbind", "migrate_pages", "move_pages", "sched_setaffinity", "sched_setattr",
    "sched_setparam", "sched_setscheduler", "set_mempolicy", "setpriority", "setrlimit",
)  # fmt: skip
"""systemd's group ``@resources``."""


def refuse(calls: list[str], error: int) -> None:
    """Let each of these calls of this process, and of what it becomes, fail with an error."""
    rules = SyscallFilter(ALLOW)
    for call in calls:
        rules.add_rule(ERRNO(error), call)
    rules.load()


if __name__ == "__main__":
    refuse(sys.argv[1].split(","), getattr(errno, sys.argv[2]))
    os.execvp(sys.argv[3], sys.argv[3:])
