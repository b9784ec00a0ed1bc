"""Tests that pages name as proofs, such as `tests/unit/test_x.py::test_y`, at the top or in a class."""

import ast
import re

from harness import ROOT

PROOF = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def exists(file: str, name: str) -> bool:
    """Whether a file of the repository has a function of that name."""
    path = ROOT / file
    tree = ast.parse(path.read_text(encoding="utf-8") if path.exists() else "")
    return name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
