"""A command in a process of its own, which does not outlive this one."""

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Sequence

from embed_onnx.system.signals import Interruption

PR_SET_PDEATHSIG = 1


def run(command: Sequence[str], *, grace: float) -> int:
    """Run a command to its end; its exit code. An interruption is passed on to it.

    It then has ``grace`` seconds to remove what is half made.
    """
    # In a process group of its own: a terminal's Ctrl-C is for the parent, which passes it on once.
    with subprocess.Popen(command, process_group=0) as child:  # noqa: S603 - our own command
        try:
            return child.wait()
        except Interruption as interruption:
            child.send_signal(interruption.number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(grace)
            raise
        finally:
            child.kill()  # past the grace; nothing happens to one that has ended


def end_with_parent(parent: int) -> None:
    """Have this process stopped if its parent, of that process id, is killed or has been by now."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
