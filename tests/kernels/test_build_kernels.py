"""Building the kernels: without a compiler, or with one that cannot, there is a sentence and no kernels."""

import importlib.util
import os
import re
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
    metadata = "hatchling.metadata.plugin.interface"
    monkeypatch.setitem(sys.modules, metadata, SimpleNamespace(MetadataHookInterface=object))
    for package in (
        "hatchling",
        "hatchling.builders",
        "hatchling.builders.hooks",
        "hatchling.builders.hooks.plugin",
        "hatchling.metadata",
        "hatchling.metadata.plugin",
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


LIBRARY = "embed_onnx/engine/kernels/embed_onnx_kernels.so"


def install(hatch_build: ModuleType, tree: Path, version: str = "standard") -> dict[str, object]:
    """What the hook adds to hatchling's plan of the wheel, with the content of the files that it includes."""
    hook = hatch_build.KernelsBuildHook()
    hook.root = str(tree)
    build_data = {"force_include": {}, "pure_python": True}
    hook.initialize(version, build_data)
    included = {name: Path(path).read_text() for path, name in build_data["force_include"].items()}
    hook.finalize(version, build_data, "")
    assert not any(map(os.path.exists, build_data["force_include"]))
    return build_data | {"force_include": included}


def compiler_of(folder: Path, processor: str) -> None:
    """A g++ that writes its target, if it has one, in place of a library."""
    write = (
        'for word; do case "$before" in -target) target=$word;; -o) output=$word;; esac; before=$word; done'
    )
    compiler(
        folder,
        "g++",
        f'[ "$1" = -dumpmachine ] && echo {processor} && exit; {write}; echo "$target" > "$output"',
    )


def test_installed_without_a_compiler(
    hatch_build: ModuleType,
    tree: Path,
    tools: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A wheel for any platform, with the reason in the log, and no library that is older than its sources."""
    monkeypatch.setattr(hatch_build, "_platform", lambda target: "linux_x86_64")
    build_data = install(hatch_build, tree)

    assert {"force_include": {}, "pure_python": True} == build_data
    assert f"embed-onnx is installed without its kernels: {NO_COMPILER}\n" == capfd.readouterr().err
    assert ["build.py"] == [path.name for path in (tree / "embed_onnx/engine/kernels").glob("*.*")]


def test_installed_with_a_compiler(
    hatch_build: ModuleType, tree: Path, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wheel is for this platform, and has the library; what lies in the source tree stays."""
    monkeypatch.setattr(hatch_build, "_platform", lambda target: "linux_x86_64")
    compiler_of(tools, "x86_64-linux-gnu")
    build_data = install(hatch_build, tree)

    expected = {"force_include": {LIBRARY: "\n"}, "pure_python": False, "tag": "py3-none-linux_x86_64"}
    assert expected == build_data
    assert "of an earlier build" == (tree / LIBRARY).read_text()


def test_installed_editable(
    hatch_build: ModuleType, tree: Path, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library is compiled to where the package in the source tree looks for it."""
    monkeypatch.setattr(hatch_build, "_platform", lambda target: "linux_x86_64")
    compiler_of(tools, "x86_64-linux-gnu")
    build_data = install(hatch_build, tree, "editable")

    assert {} == build_data["force_include"]
    assert "\n" == (tree / LIBRARY).read_text()


@pytest.mark.parametrize("processor", ["x86_64", "aarch64"])
def test_a_wheel_for_a_target(
    hatch_build: ModuleType, tree: Path, tools: Path, monkeypatch: pytest.MonkeyPatch, processor: str
) -> None:
    """It has the name of the target's oldest glibc, wherever it is built."""
    monkeypatch.setenv("KERNELS_TARGET", f"{processor}-linux-gnu.2.17")
    compiler_of(tools, "riscv64-linux-gnu")
    build_data = install(hatch_build, tree)

    assert {LIBRARY: f"{processor}-linux-gnu.2.17\n"} == build_data["force_include"]
    assert f"py3-none-manylinux_2_17_{processor}" == build_data["tag"]


def test_no_wheel_for_a_target_without_kernels(
    hatch_build: ModuleType, tree: Path, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody publishes one by mistake, nor one whose platform cannot be named."""
    monkeypatch.setenv("KERNELS_TARGET", "x86_64-linux-gnu.2.17")
    with pytest.raises(Exception, match=re.escape(NO_COMPILER)):
        install(hatch_build, tree)
    compiler_of(tools, "x86_64-linux-gnu")
    monkeypatch.setenv("KERNELS_TARGET", "x86_64-linux-musl")
    with pytest.raises(ValueError, match=r"KERNELS_TARGET is 'x86_64-linux-musl'; it must be like x86_64-"):
        install(hatch_build, tree)


def test_windows_is_refused(hatch_build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = hatch_build.PlatformHook()
    hook.update({})
    monkeypatch.setattr(sys, "platform", "win32")

    with pytest.raises(RuntimeError, match="does not run on Windows; install it in WSL"):
        hook.update({})
