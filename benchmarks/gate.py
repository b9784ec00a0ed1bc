"""Measurements on a shared machine: only in the spells in which everything else stands still.

Who can stop the others creates a file for so long and removes it; ``--while FILE`` waits for it before each
turn. A turn in which others took the processor all the same does not count: ``busy_seconds`` says so.
"""

import argparse
import os
import time
from pathlib import Path

POLL = 0.05


def add_argument(parser: argparse.ArgumentParser) -> None:
    """The option ``--while``."""
    help_text = "measure only while this file exists"
    parser.add_argument("--while", type=Path, dest="gate", metavar="FILE", help=help_text)


def busy_seconds() -> float:
    """What all processes together have computed since the machine started."""
    user, nice, system, _, _, interrupts, soft, stolen, *_ = (
        int(ticks) for ticks in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")


def wait(gate: Path | None) -> None:
    """Return at once without a gate, else when the file exists."""
    while gate is not None and not gate.exists():
        time.sleep(POLL)
