"""What is new in a version: its section of CHANGELOG.md, to standard output.

    python requirements/release_notes.py v0.1.0

Fails unless the tag is the version of this source tree, and the section is there.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def notes(tag: str) -> str:
    """The section for a tag.

    Raises:
        SystemExit: The tag is not the version's, or there is no section.
    """
    source = (ROOT / "embed_onnx/__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    version = match[1] if match else ""
    if tag != f"v{version}":
        raise SystemExit(
            f"the tag is {tag} and embed_onnx/__init__.py has version {version}; they must agree"
        )
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {re.escape(version)}\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if section is None:
        raise SystemExit(f"CHANGELOG.md has no section {version}")
    return section[1].strip()


if __name__ == "__main__":
    print(notes(sys.argv[1]))  # noqa: T201
