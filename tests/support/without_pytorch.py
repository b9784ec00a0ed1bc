"""Run a program as where PyTorch's packages are not installed: they cannot be imported, nor looked for.

    python without_pytorch.py -m embed_onnx export

It stands in for an environment with the extra ``convert`` alone.
"""

import runpy
import sys
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

ABSENT = {"torch", "transformers", "sentence_transformers", "optimum", "scipy", "onnxscript", "sentencepiece"}


class _Finder(PathFinder):
    """Finds what is installed, without those packages."""

    @classmethod
    def find_spec(cls, fullname: str, *arguments: Any) -> ModuleSpec | None:
        """The spec of a module, None of an absent one."""
        return None if fullname.partition(".")[0] in ABSENT else super().find_spec(fullname, *arguments)


def hide() -> None:
    """Have this process not find them."""
    sys.meta_path[sys.meta_path.index(PathFinder)] = _Finder


def main() -> None:
    hide()
    _, module, *arguments = sys.argv[1:]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
