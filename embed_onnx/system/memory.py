"""Memory that was freed, given back to the machine.

glibc keeps what it takes for large answers: once it has freed one, it takes the next from a heap, of which it
returns only the end. So a server would hold for ever what it needed at its busiest moment.
"""

import ctypes
from collections.abc import Callable
from functools import cache

TRIM_SECONDS = 10.0
"""Between two trims. One takes under a millisecond, and tens of them after the freeing of hundreds of MB."""


def trim() -> None:
    """Give back what is free; where the C library has no call for that, do nothing."""
    call = _call()
    if call is not None:
        call(0)


@cache
def _call() -> Callable[[int], int] | None:
    """The ``malloc_trim`` of glibc; other libraries, such as musl and macOS's, give back by themselves."""
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim
