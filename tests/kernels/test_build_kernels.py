"""Building the kernels: without a compiler, or with one that cannot, there is a sentence and no kernels."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from embed_onnx.engine.kernels import build
from embed_onnx.engine.kernels.build import BuildError

ROOT = Path(build.__file__).parents[3]
NO_COMPILER = "there is no C++ compiler; install g++ or clang"


def compiler(folder: Path, name: str, script: str) -> str:
    """A program in ``folder`` that passes for a compiler."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The only folder where programs are looked for; it is empty."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CXX", raising=False)
    return folder


def sentence(**options: str) -> str:
    """What building fails with; nothing is written."""
    output = Path("kernels.so")
    with pytest.raises(BuildError) as failed:
        build.build(output, **options)
    assert not output.exists()
    return str(failed.value)


# ---- the compiler


def test_no_compiler(tools: Path) -> None:
    assert NO_COMPILER == sentence()


def test_a_compiler_is_found(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CXX comes first, and may have flags."""
    actual = []
    for name in ("clang++", "g++", "c++", "mine"):
        compiler(tools, name, "")
        actual.append(build.find_compiler())
    monkeypatch.setenv("CXX", "mine -v")
    actual.append(build.find_compiler())
    monkeypatch.setenv("CXX", "absent")
    actual.append(build.find_compiler())

    assert ["clang++", "g++", "c++", "c++", "mine -v", "c++"] == actual


def test_another_processor(tools: Path) -> None:
    compiler(tools, "g++", "echo riscv64-linux-gnu")

    assert "there are no kernels for riscv64; there are for x86_64, aarch64" == sentence()


def test_a_compiler_that_fails(tools: Path) -> None:
    compiler(tools, "g++", '[ "$1" = -dumpmachine ] && echo x86_64-linux-gnu || { echo so sad >&2; exit 1; }')

    log = sentence()
    assert log.startswith("`g++ -std=c++17 ")
    assert log.endswith("` failed:\nso sad\n")


def test_a_compiler_that_does_not_run(tools: Path) -> None:
    (tools / "strange").write_bytes(b"\x00")
    (tools / "strange").chmod(0o755)

    assert "absent cannot be run: No such file or directory" == sentence(compiler="absent")
    assert "strange cannot be run: Exec format error" == sentence(compiler="strange")


def test_the_command_line(tools: Path, tmp_path: Path) -> None:
    output = tmp_path / "kernels.so"
    done = subprocess.run(
        [sys.executable, build.__file__, "--output", output],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )

    assert ("", f"{NO_COMPILER}\n", 1) == (done.stdout, done.stderr, done.returncode)
    assert not output.exists()


# ---- installing


@pytest.fixture
def hatch_build(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The build hook, with the class of hatchling's that it needs; hatchling itself need not be here."""
    interface = "hatchling.builders.hooks.plugin.interface"
    monkeypatch.setitem(sys.modules, interface, SimpleNamespace(BuildHookInterface=object))
    for package in (
        "hatchling",
        "hatchling.builders",
        "hatchling.builders.hooks",
        "hatchling.builders.hooks.plugin",
    ):
        monkeypatch.setitem(sys.modules, package, SimpleNamespace())
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree with the build script and, from an earlier build, a library."""
    folder = tmp_path / "tree/embed_onnx/engine/kernels"
    folder.mkdir(parents=True)
    (folder / "build.py").write_text(Path(build.__file__).read_text())
    (folder / build.LIBRARY.name).write_text("of an earlier build")
    return tmp_path / "tree"


def install(hatch_build: ModuleType, tree: Path) -> dict[str, object]:
    """What the hook tells hatchling of the wheel."""
    hook = hatch_build.KernelsBuildHook()
    hook.root = str(tree)
    build_data = {"artifacts": [], "pure_python": True}
    hook.initialize("standard", build_data)
    return build_data


def test_installed_without_a_compiler(
    hatch_build: ModuleType, tree: Path, tools: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A wheel for any platform, with the reason in the log, and no library that is older than its sources."""
    build_data = install(hatch_build, tree)

    assert {"artifacts": [], "pure_python": True} == build_data
    assert f"embed-onnx is installed without its kernels: {NO_COMPILER}\n" == capfd.readouterr().err
    assert ["build.py"] == [path.name for path in (tree / "embed_onnx/engine/kernels").glob("*.*")]


def test_installed_with_a_compiler(
    hatch_build: ModuleType, tree: Path, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wheel is for this platform, and has the library."""
    monkeypatch.setattr(hatch_build, "_platform", lambda: "linux_x86_64")
    write_output = 'while [ "$1" != -o ]; do shift; done; echo compiled > "$2"'
    compiler(tools, "g++", f'[ "$1" = -dumpmachine ] && echo x86_64-linux-gnu && exit; {write_output}')
    build_data = install(hatch_build, tree)

    library = "embed_onnx/engine/kernels/embed_onnx_kernels.so"
    expected = {"artifacts": [library], "pure_python": False, "tag": "py3-none-linux_x86_64"}
    assert expected == build_data
    assert "compiled\n" == (tree / library).read_text()
