"""The cores this process may use: affinity and the quotas of both kinds of cgroup."""

import os
from pathlib import Path

import pytest

from embed_onnx import cpu

AFFINITY = len(os.sched_getaffinity(0))


def v2(folder: Path, text: str | bytes) -> Path:
    """A cgroup v2 mount with that ``cpu.max``."""
    (folder / "cpu.max").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def v1(folder: Path, quota: str, period: str) -> Path:
    """A cgroup v1 mount with those numbers."""
    (folder / "cpu").mkdir()
    (folder / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (folder / "cpu" / "cpu.cfs_period_us").write_text(period)
    return folder


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("200000 100000\n", 2.0, id="whole"),
        pytest.param("150000 100000\n", 1.5, id="fractional"),
        pytest.param("5000 100000\n", 0.05, id="a-sliver"),
        pytest.param("20000 10000\n", 2.0, id="short-period"),
        pytest.param("max 100000\n", None, id="unlimited"),
        pytest.param("", None, id="empty"),
        pytest.param("100000\n", None, id="no-period"),
        pytest.param("100000 0\n", None, id="period-of-zero"),
        pytest.param("1 2 3\n", None, id="too-many-words"),
        pytest.param("many few\n", None, id="no-numbers"),
        pytest.param(b"\xff\xfe 1", None, id="no-text"),
    ],
)
def test_quota_of_cgroup_v2(tmp_path, text, expected):
    assert expected == cpu.cgroup_quota(v2(tmp_path, text))


@pytest.mark.parametrize(
    ("quota", "period", "expected"),
    [
        pytest.param("400000\n", "100000\n", 4.0, id="whole"),
        pytest.param("50000\n", "100000\n", 0.5, id="fractional"),
        pytest.param("-1\n", "100000\n", None, id="unlimited"),
        pytest.param("100000\n", "0\n", None, id="period-of-zero"),
        pytest.param("", "100000\n", None, id="empty"),
        pytest.param("many\n", "100000\n", None, id="no-number"),
    ],
)
def test_quota_of_cgroup_v1(tmp_path, quota, period, expected):
    assert expected == cpu.cgroup_quota(v1(tmp_path, quota, period))


def test_a_v1_quota_without_its_period_is_no_quota(tmp_path):
    (v1(tmp_path, "100000", "100000") / "cpu" / "cpu.cfs_period_us").unlink()

    assert cpu.cgroup_quota(tmp_path) is None


def test_v2_goes_before_v1(tmp_path):
    v1(tmp_path, "400000", "100000")

    assert cpu.cgroup_quota(v2(tmp_path, "200000 100000")) == 2.0


@pytest.mark.parametrize("folder", ["", "absent"], ids=["empty-mount", "no-mount"])
def test_without_cgroup_files_there_is_no_quota(tmp_path, folder):
    assert cpu.cgroup_quota(tmp_path / folder) is None


def test_a_folder_in_the_place_of_the_file_is_no_quota(tmp_path):
    (tmp_path / "cpu.max").mkdir()

    assert cpu.cgroup_quota(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("5000 100000", 1, id="never-less-than-one"),
        pytest.param("100000 100000", 1, id="whole"),
        pytest.param("150000 100000", min(2, AFFINITY), id="a-part-counts-as-one"),
        pytest.param("99900000 100000", min(999, AFFINITY), id="affinity-is-less"),
        pytest.param("max 100000", AFFINITY, id="unlimited"),
        pytest.param("broken", AFFINITY, id="broken"),
    ],
)
def test_usable_cores_are_the_lesser_of_quota_and_affinity(tmp_path, text, expected):
    assert expected == cpu.usable_cores(v2(tmp_path, text))


def test_this_machine_has_at_least_one_core():
    assert 1 <= cpu.usable_cores() <= AFFINITY
