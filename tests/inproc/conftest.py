"""Settings of models in this process."""

from pathlib import Path

import pytest

from embed_onnx.settings import Settings


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings(models=home / "models.txt", artifacts=home / "artifacts", threads=1)
