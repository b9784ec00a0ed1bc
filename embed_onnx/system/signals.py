"""Signals that end a command, as an exception: what is half made is removed on its way out.

A process without handlers ends at once, wherever it is; and as process 1 of a container it does not hear a
signal that it has no handler for.
"""

import os
import signal
import time
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


ECHO_SECONDS = 0.2
"""Some senders, such as timeout, send a signal twice: to a process, and to its group."""


class Echoes:
    """Signals that end a server, of which the first drains and a second one ends at once."""

    def __init__(self) -> None:
        self._first = 0
        self._came = 0.0

    def is_echo(self, number: int) -> bool:
        """Whether a signal is the first over again, sent with it."""
        if not self._first:
            self._first, self._came = number, time.monotonic()
            return False
        return number == self._first and time.monotonic() - self._came < ECHO_SECONDS


class Interruption(BaseException):
    """A signal asked this process to end. No ``Exception``: what handles failures must let it pass.

    ``sentence`` says what came of it; ``number`` is the signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.sentence = f"stopped by {signal.Signals(number).name}"

    @property
    def exit_code(self) -> int:
        """As shells have it: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + self.number


def handle() -> None:
    """Raise an ``Interruption`` in the main thread at the first signal that asks this process to end.

    A signal that this process was started to ignore, as by nohup, stays ignored.
    """
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(number: int, _: FrameType | None) -> None:
    """Only a second Ctrl-C ends at once: some senders, such as timeout, send every signal twice."""
    for other in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    signal.signal(signal.SIGINT, _end_at_once)
    raise Interruption(number)


def _end_at_once(number: int, _: FrameType | None) -> None:
    os._exit(128 + number)
