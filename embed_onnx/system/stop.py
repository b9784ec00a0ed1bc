"""Asking the native run of a thread to end before it is done.

A lane begins each pack with a ``Stop`` of its thread; who calls native code there says how that is ended.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator

_of_thread = threading.local()


class Stopped(Exception):
    """Nobody waits any more for what was about to run."""


class Stop:
    """Whether a thread is asked to stop what it is at."""

    def __init__(self) -> None:
        self.requested = False
        self._end: Callable[[], None] | None = None

    def ask(self) -> None:
        """Have the thread's native run end soon, and no other begin; from any thread."""
        self.requested = True
        end = self._end
        if end is not None:
            end()

    @contextlib.contextmanager
    def _ended_by(self, end: Callable[[], None]) -> Iterator[None]:
        self._end = end  # before asking, as ``ask`` sets the one before it looks for the other
        try:
            if self.requested:
                raise Stopped
            yield
        finally:
            self._end = None


def begin() -> Stop:
    """A new one, for what this thread does from now on."""
    _of_thread.stop = Stop()
    stop: Stop = _of_thread.stop
    return stop


def ended_by(end: Callable[[], None]) -> contextlib.AbstractContextManager[None]:
    """While this thread is in native code, ``end`` makes that stop, should somebody ask.

    Raises:
        Stopped: Somebody has asked.
    """
    stop: Stop | None = getattr(_of_thread, "stop", None)
    return contextlib.nullcontext() if stop is None else stop._ended_by(end)
