"""CONTRIBUTING.md and the design notes name what is there: files, tests, targets, other pages."""

import re
from pathlib import Path

import pytest
from harness import ROOT
from proofs import PROOF, exists

GUIDES = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs" / "design").glob("*.md"))]
ROOTS = [ROOT, ROOT / "embed_onnx", ROOT / "export" / "embed_onnx_export"]
"""Where a path may begin; a name alone is that of a file below one of them."""
FILE = re.compile(r"`(\w[\w./-]*(?:/|\.(?:py|h|cpp|md|yaml|json|conf)))`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
EXAMPLES = {"benchmarks/results/NAME.json"}
"""What a reader would write."""
IN_ARTIFACTS = {"ranges.json", "manifest.json"}
NOTE_LINES = 72
"""A page."""

guides = pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)


def there(name: str) -> bool:
    """Whether a file or folder of the repository goes by that name."""
    if "/" in name:
        return any((root / name).exists() for root in ROOTS)
    folders = ("embed_onnx", "export", "tests", "benchmarks")
    return (ROOT / name).exists() or any(next((ROOT / top).rglob(name), None) for top in folders)


@guides
def test_files_are_there(path: Path) -> None:
    named = set(FILE.findall(path.read_text(encoding="utf-8"))) - EXAMPLES - IN_ARTIFACTS

    assert [] == sorted(name for name in named if not there(name))


@guides
def test_the_tests_that_hold_it_are_there(path: Path) -> None:
    missing = [
        f"{file}::{name}"
        for file, name in PROOF.findall(path.read_text(encoding="utf-8"))
        if not exists(file, name)
    ]

    assert [] == missing


@guides
def test_links_lead_somewhere(path: Path) -> None:
    links = LINK.findall(path.read_text(encoding="utf-8"))

    assert [] == [link for link in links if not (path.parent / link).exists()]


def test_every_note_is_a_page_and_in_the_index() -> None:
    index, *notes = sorted(GUIDES[1:], key=lambda path: path.name != "README.md")

    assert [] == [path.name for path in notes if len(path.read_text().splitlines()) > NOTE_LINES]
    assert {path.name for path in notes} == {
        link for link in LINK.findall(index.read_text()) if "/" not in link
    }


def test_commands_are_in_the_makefile() -> None:
    guide = GUIDES[0].read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"`make ([a-z]+)`", guide))

    assert {"quick", "check", "test", "soak"} <= named
    assert [] == [verb for verb in named if not re.search(rf"^{verb}:", makefile, re.MULTILINE)]
