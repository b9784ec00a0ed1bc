"""The shape of the tests themselves."""

import ast

from harness import ROOT

TESTS = ROOT / "tests"
MODULES = sorted(TESTS.rglob("test_*.py"))


def test_no_module_of_tests_imports_another() -> None:
    """What two of them need is in tests/support or in a conftest."""
    names = {path.stem for path in MODULES}
    importers = []
    for path in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported = {node.module or "", *(alias.name for alias in node.names)}
            else:
                continue
            if names & {part for name in imported for part in name.split(".")}:
                importers.append(path.name)

    assert [] == importers
