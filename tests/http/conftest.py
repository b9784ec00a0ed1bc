"""A client of the server with models that score, and those models in this process."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from harness import CLASSIFIER, RERANKER, START_SECONDS, Server

from embed_onnx import Model


@pytest.fixture
def scorer(scoring_server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=scoring_server.url, timeout=START_SECONDS) as opened:
        yield opened


@pytest.fixture(scope="session")
def reranker(scoring_home: Path) -> Iterator[Model]:
    with Model.load(scoring_home / "artifacts" / RERANKER) as model:
        yield model


@pytest.fixture(scope="session")
def classifier(scoring_home: Path) -> Iterator[Model]:
    with Model.load(scoring_home / "artifacts" / CLASSIFIER) as model:
        yield model
