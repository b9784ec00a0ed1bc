"""Real artifacts and real servers in processes of their own. Nothing heavy is imported here."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import kept
import pytest
from harness import MINILM, PROGRAM, SMALL, START_SECONDS, Server

from embed_onnx import Model


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a models.txt and its artifacts: the real MiniLM, and a small model with prompts."""
    folder = tmp_path_factory.mktemp("home") / "home"
    shutil.copytree(kept.home(), folder)
    return folder


@pytest.fixture(scope="session")
def artifacts(home: Path) -> Path:
    return home / "artifacts"


@pytest.fixture
def copied(home: Path, tmp_path: Path) -> Path:
    """A folder with a copy of the small model's artifact, which a test may spoil, and no models.txt."""
    shutil.copytree(home / "artifacts" / SMALL, tmp_path / "artifacts" / SMALL)
    return tmp_path


@pytest.fixture
def serve(home: Path) -> Iterator[Callable[..., Server]]:
    """Start a server with flags of the test's own."""
    with contextlib.ExitStack() as stack:

        def start(
            *arguments: str, ready: bool = True, program: tuple[str, ...] = PROGRAM, **environment: str
        ) -> Server:
            server = stack.enter_context(Server(list(arguments), environment, home, program))
            if ready:
                server.wait_ready()
            return server

        yield start


@pytest.fixture(scope="session")
def server(home: Path) -> Iterator[Server]:
    """One server for all tests that only ask it things."""
    with Server([], {}, home) as started:
        started.wait_ready()
        yield started
        started.stop()


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=START_SECONDS) as opened:
        yield opened


@pytest.fixture(scope="session")
def minilm(artifacts: Path) -> Iterator[Model]:
    with Model.load(artifacts / MINILM) as model:
        yield model


@pytest.fixture(scope="session")
def small(artifacts: Path) -> Iterator[Model]:
    with Model.load(artifacts / SMALL) as model:
        yield model
