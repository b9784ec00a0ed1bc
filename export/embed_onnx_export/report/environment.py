"""The machine that something was measured on, and the versions of what ran there."""

import importlib.metadata
import platform
from pathlib import Path

import msgspec

from embed_onnx.system import cpu

CPU_INFO = Path("/proc/cpuinfo")
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "asimddp", "i8mm")
"""Instruction sets that matter here, as Linux names them."""

PACKAGES = (
    "embed-onnx",
    "onnxruntime",
    "tokenizers",
    "numpy",
    "torch",
    "transformers",
    "sentence-transformers",
)


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """``cores`` are those that this process may use; ``instructions`` those of ``FLAGS`` that the CPU has."""

    cpu: str
    instructions: list[str]
    cores: int
    system: str
    python: str


def describe() -> Machine:
    """This machine, as far as Linux says."""
    lines = [line.partition(":") for line in _cpu_info().splitlines()]
    fields = {name.strip(): value.strip() for name, _, value in reversed(lines)}
    words = fields.get("flags", fields.get("Features", "")).split()
    return Machine(
        cpu=fields.get("model name", platform.machine()),
        instructions=[flag for flag in FLAGS if flag in words],
        cores=cpu.usable_cores(),
        system=platform.platform(),
        python=platform.python_version(),
    )


def versions() -> dict[str, str | None]:
    """The versions of the packages that figures depend on; None for one that is absent."""
    return {package: _version(package) for package in PACKAGES}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_info() -> str:
    return CPU_INFO.read_text() if CPU_INFO.exists() else ""
