"""Where a server's own files are."""

from pathlib import Path

import pytest


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """Where a file of API keys will be."""
    return tmp_path / "keys.txt"
