"""Compiles the kernels into the wheel, and into the source tree for an editable install.

Without a compiler the install still works: ONNX Runtime then runs the models by itself. With the variable
KERNELS_TARGET the wheel is for that target of the compiler CXX, and not built without its kernels:

    CXX="zig c++" KERNELS_TARGET=aarch64-linux-gnu.2.17 pip wheel .  # ...-manylinux_2_17_aarch64.whl
"""

import importlib.util
import os
import re
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

TARGET = "KERNELS_TARGET"


class PlatformHook(MetadataHookInterface):
    """Refuses Windows, before pip tries to build what the package depends on."""

    def update(self, metadata: dict[str, Any]) -> None:  # noqa: ARG002 - the interface
        """End the install with a sentence.

        Raises:
            RuntimeError: This is Windows.
        """
        if sys.platform == "win32":
            raise RuntimeError("embed-onnx does not run on Windows; install it in WSL, or run its image")


class KernelsBuildHook(BuildHookInterface):
    """Runs embed_onnx/engine/kernels/build.py, which knows how."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and make the wheel one for the target, or for this platform.

        Raises:
            BuildError: A target is set, and the kernels cannot be compiled for it.
        """
        build = _build_module(Path(self.root))
        target = os.environ.get(TARGET, "")
        platform = _platform(target)
        self._scratch = tempfile.TemporaryDirectory()
        editable = version == "editable"
        output = build.LIBRARY if editable else Path(self._scratch.name, build.LIBRARY.name)
        try:
            build.build(output, target=target)
        except build.BuildError as err:
            self._scratch.cleanup()
            if target:
                raise
            print(f"embed-onnx is installed without its kernels: {err}", file=sys.stderr)  # noqa: T201
            build.LIBRARY.unlink(missing_ok=True)
            return
        if not editable:
            build_data["force_include"][str(output)] = str(build.LIBRARY.relative_to(self.root))
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"  # no Python interface is used

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what was compiled."""
        self._scratch.cleanup()


def _build_module(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "build_kernels", root / "embed_onnx/engine/kernels/build.py"
    )
    assert spec is not None  # noqa: S101 - narrows the type
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _platform(target: str) -> str:
    """The wheel's platform tag: this machine's, or that of a target like x86_64-linux-gnu.2.17 (PEP 600).

    Raises:
        ValueError: The target is another kind.
    """
    if not target:
        from packaging.tags import platform_tags  # noqa: PLC0415 - hatchling brings it

        return next(iter(platform_tags()))
    parts = re.fullmatch(r"(\w+)-linux-gnu\.(\d+)\.(\d+)", target)
    if parts is None:
        raise ValueError(f"{TARGET} is {target!r}; it must be like x86_64-linux-gnu.2.17")
    processor, major, minor = parts.groups()
    return f"manylinux_{major}_{minor}_{processor}"
