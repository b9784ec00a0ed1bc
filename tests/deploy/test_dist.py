"""What a registry takes, and what installing it brings: `make dist`, in environments of their own."""

import hashlib
import json
import platform
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from deployment import REQUEST
from harness import ROOT, START_SECONDS, Server, clean_environment

REQUIREMENTS = ROOT / "requirements"
MEGABYTES, PACKAGES = 200, 30
"""The most that an install for serving may have."""


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    subprocess.run(command, check=True)


def environment(folder: Path) -> Path:
    """An empty one, without pip."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder


def wheel_of(dist: Path) -> Path:
    (wheel,) = dist.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def log() -> list[str]:
    """What `make dist` printed."""
    return []


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory, log: list[str]) -> Path:
    """The source distribution, and this processor's wheel, which is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    reachable = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "hatchling"],
        cwd=folder,
        check=False,
    )
    if reachable.returncode:
        pytest.skip("pip cannot download packages here")
    target = f"{platform.machine()}-linux-gnu.2.17"
    done = subprocess.run(
        ["make", "dist", f"DIST={folder / 'dist'}", f"TARGETS={target}"],
        cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stdout + done.stderr
    log.append(re.sub(r"\s+|\x1b\[\d+m", " ", done.stdout))
    return folder / "dist"


def test_a_registry_takes_them(dist: Path, log: list[str]) -> None:
    """From glibc 2.17 on, as auditwheel reads the wheel's symbols; descriptions and digests are right."""
    tag = f"manylinux_2_17_{platform.machine()}"
    sums = dict(reversed(line.split()) for line in (dist / "SHA256SUMS").read_text().splitlines())
    files = [path for path in dist.iterdir() if path.name != "SHA256SUMS"]

    assert f"py3-none-{tag}" == wheel_of(dist).stem.split("-", 2)[2]
    assert re.search(rf'(consistent with the following|constrains the) platform tag:?( to)? "{tag}"', log[0])
    assert "requires no external shared libraries" in log[0] or "external versioned symbols" in log[0]
    assert 2 == log[0].count("PASSED")
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files} == sums


def serves(folder: Path, home: Path) -> str:
    """Its server answers, its pages are there, and its commands run; the log."""
    program = folder / "bin/embed-onnx"
    for command in (["--help"], ["models"], ["embed", "--text", "a text"]):
        subprocess.run(
            [program, *command], cwd=home, env=clean_environment(), stdout=subprocess.DEVNULL, check=True
        )
    with Server([], {}, home, (str(program),)) as server:
        server.wait_ready()
        answer = httpx.post(f"{server.url}/v1/embeddings", json=REQUEST, timeout=START_SECONDS)
        pages = [
            httpx.get(server.url + path, timeout=START_SECONDS).status_code
            for path in (
                "/",
                "/docs",
                "/docs/files/swagger-ui-bundle.js",
                "/openapi.json",
                "/metrics",
                "/v1/models",
            )
        ]
        log = server.stop()

    assert 200 == answer.status_code
    assert {200} == set(pages)
    return log


def test_what_serving_loads_is_small(dist: Path, home: Path, tmp_path: Path) -> None:
    """The run-time set serves, by its hashes and without what its packages depend on besides."""
    folder = environment(tmp_path / "edge")
    options = ["--python", folder, "install", "--no-deps", "--no-compile"]
    pip(*options, "--require-hashes", "--requirement", REQUIREMENTS / "runtime.txt")
    pip(*options, wheel_of(dist))
    (packages,) = folder.glob("lib/python3.*/site-packages")
    size = sum(path.stat().st_size for path in packages.rglob("*") if path.is_file())

    assert size < MEGABYTES * 2**20
    assert len(list(packages.glob("*.dist-info"))) <= PACKAGES
    assert "kernels" in serves(folder, home)


def bounds() -> Iterator[tuple[str, str]]:
    """Each run-time dependency with its lower bound."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for dependency in project["dependencies"]:
        match = re.match(r"([\w-]+)>=([\d.]+)", dependency)
        assert match, dependency
        yield match[1], match[2]


def test_the_lowest_versions_serve(dist: Path, home: Path, tmp_path: Path) -> None:
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the lowest versions have wheels for the lowest Python only")
    folder = environment(tmp_path / "lowest")
    pins = [f"{name}=={version}" for name, version in bounds()]
    pip("--python", folder, "install", "--no-compile", wheel_of(dist), *pins)
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "--python", folder, "list", "--format", "json"],
        stdout=subprocess.PIPE, check=True,
    ).stdout  # fmt: skip
    versions = {
        package["name"].lower().replace("_", "-"): package["version"] for package in json.loads(listed)
    }

    for name, version in bounds():
        assert [*map(int, version.split("."))] == [*map(int, versions[name].split("."))][
            : version.count(".") + 1
        ]
    serves(folder, home)


def test_pins_are_those_of_the_dependencies() -> None:
    """Each dependency is pinned in both files, and the run-time set is a part of the constraints."""
    constraints = (REQUIREMENTS / "constraints.txt").read_text().splitlines()
    runtime = re.findall(r"^[\w.-]+==\S+", (REQUIREMENTS / "runtime.txt").read_text(), re.MULTILINE)
    names = {line.partition("==")[0] for line in runtime}

    assert {name for name, _ in bounds()} <= names
    assert set(runtime) <= set(constraints)
