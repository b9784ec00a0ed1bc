"""Forks: what has threads or locks holds still at the instant of one, and begins again in the child.

A forked child has the memory of its parent and, of the threads, only the one that forked. A lock that
another thread held is never given back there, and a pool waits for threads that are not there.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol
from weakref import WeakSet

SECONDS = 30.0
"""How long a fork waits for what another thread is at."""


class Forked(Protocol):
    """What a fork concerns."""

    def before_fork(self) -> None:
        """Come to rest, and stay so until one of the other two is called; at most for ``SECONDS``."""

    def after_fork(self) -> None:
        """Go on, in the parent."""

    def begin_again(self) -> None:
        """Have locks and threads of its own, in the child."""


_known: WeakSet[Forked] = WeakSet()
_resting: list[Forked] = []
_forking = threading.Lock()
"""One fork at a time."""


def register(thing: Forked) -> None:
    """Have a thing called before and after every fork, for as long as somebody else holds it."""
    _known.add(thing)


class Pool:
    """Threads for what would hold an event loop up; a forked child has its own."""

    def __init__(self, threads: int, name: str, initializer: Callable[[], None] | None = None) -> None:
        self._options = threads, name, initializer
        self.executor = ThreadPoolExecutor(*self._options)
        register(self)

    def before_fork(self) -> None:
        """Nothing has to rest: the child has other threads and locks."""

    def after_fork(self) -> None:
        """Nothing rested."""

    def begin_again(self) -> None:
        """Leave the parent's threads behind."""
        self.executor = ThreadPoolExecutor(*self._options)


def _before() -> None:
    _forking.acquire()
    for thing in list(_known):
        _resting.append(thing)
        thing.before_fork()


def _after_in_parent() -> None:
    while _resting:
        _resting.pop().after_fork()
    _forking.release()


def _after_in_child() -> None:
    global _forking  # noqa: PLW0603 - the parent's stays held
    _forking = threading.Lock()
    while _resting:
        _resting.pop().begin_again()


with contextlib.suppress(AttributeError):  # systems that do not fork
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
