"""In a Python process that has this folder on its path, PyTorch's packages can be neither imported nor found.

It stands in for an environment with the extra ``convert`` alone. An export takes a second there, as it is
importing PyTorch that takes several.
"""

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


sys.meta_path[sys.meta_path.index(PathFinder)] = _Finder
