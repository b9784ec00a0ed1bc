"""Compiles the kernels into the wheel, and into the source tree for an editable install.

Without a compiler the install still works: ONNX Runtime then runs the models by itself.
"""

import importlib.util
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class KernelsBuildHook(BuildHookInterface):
    """Runs embed_onnx/engine/kernels/build.py, which knows how."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the interface
        """Compile, and make the wheel one for this platform."""
        spec = importlib.util.spec_from_file_location(
            "build_kernels", Path(self.root, "embed_onnx/engine/kernels/build.py")
        )
        assert spec is not None  # noqa: S101 - narrows the type
        assert spec.loader is not None  # noqa: S101
        kernels = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(kernels)
        try:
            kernels.build(kernels.LIBRARY)
        except kernels.BuildError as err:
            print(f"embed-onnx is installed without its kernels: {err}", file=sys.stderr)  # noqa: T201
            kernels.LIBRARY.unlink(missing_ok=True)
            return
        build_data["artifacts"].append(str(kernels.LIBRARY.relative_to(self.root)))
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform()}"


def _platform() -> str:
    """The wheel's platform tag: no Python interface is used, so any version of Python will do."""
    from packaging.tags import platform_tags  # noqa: PLC0415 - hatchling brings it

    return next(iter(platform_tags()))
