"""The CPU quota of control groups: made-up trees of every kind, and groups of this machine's own."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from embed_onnx.system import cgroup, cpu


class Machine:
    """A process's folder of /proc and the cgroup mounts that it sees."""

    def __init__(self, folder: Path) -> None:
        self.process = folder / "self"
        self.process.mkdir()
        self.mounts = folder / "mnt"
        self._lines = ["22 1 8:1 / / rw - ext4 /dev/root rw"]
        self._groups: list[str] = []
        self._write()

    def mount(self, name: str, *, root: str = "/", version: int = 2, controllers: str = "cpu") -> Path:
        """A mount of a hierarchy, of which a group is the root."""
        place = self.mounts / name
        place.mkdir(parents=True, exist_ok=True)
        kind = f"cgroup2 cgroup2 rw,{'nsdelegate'}" if version == 2 else f"cgroup cgroup rw,{controllers}"
        written = str(place).replace("\\", "\\134").replace(" ", "\\040")
        self._lines.append(f"30 22 0:{len(self._lines)} {root} {written} rw,nosuid shared:9 - {kind}")
        self._write()
        return place

    def group(self, path: str, *, controllers: str = "") -> None:
        """The process's own group in a hierarchy; of v2, without controllers."""
        self._groups.append(f"{0 if not controllers else len(self._groups) + 1}:{controllers}:{path}")
        self._write()

    def _write(self) -> None:
        (self.process / "mountinfo").write_text("".join(f"{line}\n" for line in self._lines))
        (self.process / "cgroup").write_text("".join(f"{line}\n" for line in self._groups))

    @property
    def quota(self) -> float | None:
        return cgroup.cpu_quota(self.process)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def v2(folder: Path, cores: float | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpu.max").write_text("max 100000\n" if cores is None else f"{int(cores * 100_000)} 100000\n")


def v1(folder: Path, cores: float | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpu.cfs_quota_us").write_text("-1\n" if cores is None else f"{int(cores * 50_000)}\n")
    (folder / "cpu.cfs_period_us").write_text("50000\n")


@pytest.mark.parametrize(
    ("quotas", "expected"),
    [
        pytest.param({"system.slice/embed.service": 1.5}, 1.5, id="own-group"),
        pytest.param({"system.slice": 2}, 2, id="slice"),
        pytest.param({"system.slice": 2, "system.slice/embed.service": 3}, 2, id="slice-is-less"),
        pytest.param({"system.slice": 3, "system.slice/embed.service": 0.5}, 0.5, id="own-is-less"),
        pytest.param({"": 4, "system.slice/embed.service": None}, 4, id="root-of-the-mount"),
        pytest.param({"system.slice": None, "system.slice/embed.service": None}, None, id="unlimited"),
        pytest.param({"user.slice": 1, "system.slice/other.service": 1}, None, id="groups-of-others"),
        pytest.param({}, None, id="no-controller"),
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_the_smallest_quota_from_the_own_group_up(
    machine: Machine, version: int, quotas: dict[str, float | None], expected: float | None
) -> None:
    place = machine.mount("cpu", version=version, controllers="cpu,cpuacct")
    machine.group("/system.slice/embed.service", controllers="" if version == 2 else "cpu,cpuacct")
    (place / "system.slice/embed.service").mkdir(parents=True)
    for path, cores in quotas.items():
        (v1 if version == 1 else v2)(place / path, cores)

    assert expected == machine.quota


def test_a_hybrid_machine(machine: Machine) -> None:
    """The cpu controller is in a hierarchy of v1, and v2 is mounted beside it without one."""
    unified = machine.mount("unified")
    machine.mount("memory", version=1, controllers="memory")
    cpu_mount = machine.mount("cpu,cpuacct", version=1, controllers="cpu,cpuacct")
    machine.group("/lxc/box", controllers="memory")
    machine.group("/jobs/one", controllers="cpu,cpuacct")
    machine.group("/user.slice")
    (unified / "user.slice").mkdir()
    v1(cpu_mount / "jobs", 1.5)
    v1(cpu_mount / "lxc/box", 1)  # the path of another hierarchy

    assert 1.5 == machine.quota


def test_controllers_that_only_begin_like_cpu_have_no_quota(machine: Machine) -> None:
    for name in ("cpuset", "cpuacct"):
        v1(machine.mount(name, version=1, controllers=name), 1)
        machine.group("/", controllers=name)

    assert machine.quota is None


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/", id="namespace"),
        pytest.param("/../..", id="outside-of-the-namespace"),
        pytest.param("/../other", id="beside-the-namespace"),
        pytest.param("/docker/0123", id="path-of-the-host"),
        pytest.param("", id="none"),
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_a_container_sees_its_own_group_as_the_root(machine: Machine, version: int, path: str) -> None:
    place = machine.mount("cgroup", version=version)
    (v1 if version == 1 else v2)(place, 2.5)
    machine.group(path, controllers="" if version == 2 else "cpu")

    assert 2.5 == machine.quota


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_without_a_namespace(machine: Machine, version: int) -> None:
    """The mount's root is the container's group, which both paths name; groups may be made below it."""
    write = v1 if version == 1 else v2
    place = machine.mount("cgroup", root="/docker/0123", version=version)
    machine.group("/docker/0123/jobs/one", controllers="" if version == 2 else "cpu")
    write(place, 3)
    write(place / "jobs", 1)
    write(place / "docker/0123/jobs", 0.5)  # not where the group is

    assert 1 == machine.quota


def test_a_mount_of_another_group(machine: Machine) -> None:
    """The process's own group is not below it, so that only its root can hold for the process."""
    place = machine.mount("cgroup", root="/system.slice")
    machine.group("/user.slice/shell")
    v2(place, 3)
    v2(place / "user.slice", 1)

    assert 3 == machine.quota


def test_blanks_in_the_place_of_a_mount(machine: Machine) -> None:
    v2(machine.mount("my groups\\here") / "a", 1.25)
    machine.group("/a/b")

    assert 1.25 == machine.quota


@pytest.mark.parametrize(
    "text",
    ["", "max\n", "100000\n", "100000 0\n", "1 2 3\n", "many few\n", "0 100000\n", "-1 100000\n"],
)
def test_what_is_no_quota_of_v2(machine: Machine, text: str) -> None:
    """It does not hide the quota of a group above."""
    place = machine.mount("cgroup")
    machine.group("/a")
    v2(place, 2)
    v2(place / "a", None)
    (place / "a/cpu.max").write_text(text)

    assert 2 == machine.quota


@pytest.mark.parametrize(("quota", "period"), [("", "1"), ("x", "1"), ("1", "0"), ("-1", "1"), ("1", None)])
def test_what_is_no_quota_of_v1(machine: Machine, quota: str, period: str | None) -> None:
    place = machine.mount("cpu", version=1)
    machine.group("/", controllers="cpu")
    (place / "cpu.cfs_quota_us").write_text(quota)
    if period is not None:
        (place / "cpu.cfs_period_us").write_text(period)

    assert machine.quota is None


@pytest.mark.parametrize("name", ["mountinfo", "cgroup"])
@pytest.mark.parametrize("content", [None, "", "nonsense\n", "a b c d e f - \n", "::::\n", "\udcff\n"])
def test_files_of_proc_that_say_nothing(machine: Machine, name: str, content: str | None) -> None:
    path = machine.process / name
    path.unlink()
    if content is not None:
        path.write_bytes(content.encode(errors="surrogateescape"))

    assert machine.quota is None


@pytest.mark.parametrize(
    ("cores", "expected"),
    [(0.05, 1), (1, 1), (1.5, min(2, len(cpu.cores()))), (999, len(cpu.cores())), (None, len(cpu.cores()))],
)
def test_usable_cores_are_the_lesser_of_quota_and_affinity(
    machine: Machine, cores: float | None, expected: int
) -> None:
    """Never less than one; a part of a core counts as one."""
    v2(machine.mount("cgroup") / "a", cores)
    machine.group("/a/b")

    assert expected == cpu.usable_cores(machine.process)


def test_this_machine_has_at_least_one_core() -> None:
    assert 1 <= cpu.usable_cores() <= len(cpu.cores())


ENTERED = """
import pathlib, sys
from embed_onnx.system import cgroup
pathlib.Path(sys.argv[1], "cgroup.procs").write_text("0")
print(cgroup.cpu_quota())
"""
"""Enters a group, and says which quota it sees."""


@contextlib.contextmanager
def real_groups() -> Iterator[tuple[Path, Path]]:
    """A group of this machine with a quota of half a core, and one within it without any."""
    roots = [Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup/cpu,cpuacct"), Path("/sys/fs/cgroup")]
    root = next((root for root in roots if os.access(root / "cgroup.procs", os.W_OK)), None)
    if root is None:
        pytest.skip("no control group can be made here")
    outer = root / f"embed-onnx-test-{os.getpid()}"
    try:
        (outer / "inner").mkdir(parents=True)
        if (outer / "cpu.cfs_quota_us").exists():
            (outer / "cpu.cfs_quota_us").write_text("50000")
        else:
            (outer / "cpu.max").write_text("50000 100000")
    except OSError as err:
        pytest.skip(f"no control group with a quota can be made here: {err}")
    else:
        yield outer, outer / "inner"
    finally:
        for folder in (outer / "inner", outer):
            with contextlib.suppress(OSError):
                folder.rmdir()


def test_a_nested_group_of_this_machine() -> None:
    """As systemd's of a service in a slice with CPUQuota=."""
    with real_groups() as groups:
        for group in groups:
            done = subprocess.run(
                [sys.executable, "-c", ENTERED, str(group)], capture_output=True, text=True, check=False
            )

            assert (0, "0.5\n") == (done.returncode, done.stdout), done.stderr
