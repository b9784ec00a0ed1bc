"""Ends a process that reaches out: the kernel kills it at its first attempt, whatever library makes it.

A seccomp filter sees the system calls of native code, which Python's audit hooks do not. Accepting
connections and answering on them needs none of the calls that are forbidden.
"""

import ctypes
import os
import platform
import struct

CALLS = {
    "x86_64": (0xC000003E, {"connect": 42, "sendto": 44, "sendmsg": 46, "sendmmsg": 307}),
    "aarch64": (0xC00000B7, {"connect": 203, "sendto": 206, "sendmsg": 211, "sendmmsg": 269}),
}
"""The architecture as the kernel numbers it, and its system calls."""
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
KILL, ALLOW = 0x80000000, 0x7FFF0000
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
NUMBER, ARCHITECTURE, ADDRESS_LOW, ADDRESS_HIGH = 0, 4, 48, 52
"""Where a filter finds the number of a call, the architecture, and the address given to sendto."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def forbid() -> None:
    """From now on, this process and its children die of SIGSYS when they connect or send to an address."""
    architecture, calls = CALLS[platform.machine()]
    program = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
        # Jumps count the instructions that are left out.
        (EQUAL, 7, 0, calls["connect"]),
        (EQUAL, 6, 0, calls["sendmsg"]),
        (EQUAL, 5, 0, calls["sendmmsg"]),
        (EQUAL, 0, 5, calls["sendto"]),
        (LOAD, 0, 0, ADDRESS_LOW),
        (EQUAL, 0, 2, 0),
        (LOAD, 0, 0, ADDRESS_HIGH),
        (EQUAL, 1, 0, 0),  # no address: a plain send on an accepted connection
        (RETURN, 0, 0, KILL),
        (RETURN, 0, 0, ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    filter_ = _Program(len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filter_), 0, 0),
    ):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
