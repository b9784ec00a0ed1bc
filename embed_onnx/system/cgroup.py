"""The CPU quota of this process's control groups: the smallest from its own group up, of versions 1 and 2.

systemd sets quotas on a service's group or on its slice, container runtimes on a container's; a quota holds
for all groups below. In a container its own group is the root of the mount, and those above are not seen.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

PROCESS = Path("/proc/self")


class _Mount(msgspec.Struct, frozen=True):
    """Where a hierarchy of groups is mounted; ``root`` is the group that is seen there."""

    folder: Path
    root: str
    version: int


def cpu_quota(process: Path = PROCESS) -> float | None:
    """Cores a second that the groups of a process, by its folder in /proc, are granted; None if unlimited."""
    try:
        mounts = list(_mounts((process / "mountinfo").read_text(errors="surrogateescape")))
        paths = _paths((process / "cgroup").read_text(errors="surrogateescape"))
    except OSError:
        return None
    quotas = [
        quota
        for mount in mounts
        for folder in _folders(mount, paths.get(mount.version, "/"))
        if (quota := _quota(folder, mount.version)) is not None
    ]
    return min(quotas, default=None)


def _mounts(text: str) -> Iterator[_Mount]:
    """Those of cgroup v2, and those of v1 that have the cpu controller."""
    for line in text.splitlines():
        place, _, kind = line.partition(" - ")
        places, kinds = place.split(), kind.split()
        if len(places) < 5 or len(kinds) < 3:
            continue
        version = {"cgroup2": 2, "cgroup": 1}.get(kinds[0], 0)
        if version == 2 or (version == 1 and "cpu" in kinds[2].split(",")):
            yield _Mount(Path(_unescaped(places[4])), _unescaped(places[3]), version)


def _unescaped(word: str) -> str:
    """Blanks and backslashes are in octal."""
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), word)


def _paths(text: str) -> dict[int, str]:
    """The process's group by version."""
    paths: dict[int, str] = {}
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            paths[2] = path
        elif "cpu" in controllers.split(","):
            paths[1] = path
    return paths


def _folders(mount: _Mount, path: str) -> Iterator[Path]:
    """The group's folder and all above it that are seen; the mount's alone where it is not below that."""
    below = os.path.relpath(path or "/", mount.root)
    folder = mount.folder if below.startswith("..") else mount.folder / below
    while folder != mount.folder:
        yield folder
        folder = folder.parent
    yield mount.folder


def _quota(folder: Path, version: int) -> float | None:
    try:
        if version == 2:
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        cores = int(quota) / int(period)
    except (OSError, ValueError, ArithmeticError):  # absent, or "max": no quota
        return None
    return cores if cores > 0 else None  # v1 writes -1 for "no quota"
