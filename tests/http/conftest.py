"""A server with models that score."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import kept
import pytest
from harness import CLASSIFIER, RERANKER, START_SECONDS, Server

from embed_onnx import Model


@pytest.fixture(scope="session")
def scoring_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a models.txt and its artifacts: a small embedder, a reranker and a classifier."""
    folder = tmp_path_factory.mktemp("scoring") / "home"
    shutil.copytree(kept.scoring(), folder)
    return folder


@pytest.fixture(scope="session")
def scoring_server(scoring_home: Path) -> Iterator[Server]:
    with Server([], {}, scoring_home) as started:
        started.wait_ready()
        yield started
        started.stop()


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
