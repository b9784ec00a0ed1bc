"""Runs a command as a systemd unit would confine it: ``confined.py CALLS FAMILIES COMMAND ...``.

CALLS and FAMILIES, parted by commas, are what ``SystemCallFilter`` and ``RestrictAddressFamilies`` allow;
``MemoryDenyWriteExecute`` is always on. systemd makes the same filter of these.
"""

import contextlib
import errno
import mmap
import os
import socket
import sys

from pyseccomp import ALLOW, EQ, ERRNO, MASKED_EQ, Arg, SyscallFilter

SHM_EXEC = 0o100000
WRITE_AND_EXECUTE = mmap.PROT_WRITE | mmap.PROT_EXEC
MEMORY = {
    "mmap": [Arg(2, MASKED_EQ, WRITE_AND_EXECUTE, one) for one in (0, mmap.PROT_WRITE, mmap.PROT_EXEC)],
    "mprotect": [Arg(2, MASKED_EQ, mmap.PROT_EXEC, 0)],
    "pkey_mprotect": [Arg(2, MASKED_EQ, mmap.PROT_EXEC, 0)],
    "shmat": [Arg(2, MASKED_EQ, SHM_EXEC, 0)],
}
"""System calls that are allowed where one of these is true."""


def confine(calls: list[str], families: list[str]) -> None:
    """Let this process, and what it becomes, do no more."""
    conditions = MEMORY | {"socket": [Arg(0, EQ, getattr(socket, family)) for family in families]}
    rules = SyscallFilter(ERRNO(errno.EPERM))
    for call in calls:
        with contextlib.suppress(OSError):  # of another processor, or newer than the library
            for condition in conditions.get(call, [None]):
                rules.add_rule(ALLOW, call, *[condition] if condition else [])
    rules.load()


if __name__ == "__main__":
    confine(sys.argv[1].split(","), sys.argv[2].split(","))
    os.execvp(sys.argv[3], sys.argv[3:])
