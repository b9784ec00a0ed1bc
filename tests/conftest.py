"""Real artifacts and real servers in processes of their own. Nothing heavy is imported here.

Each folder is a marker of its tests. Hypothesis has two profiles, by ``HYPOTHESIS_PROFILE``.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import hypothesis
import kept
import pytest
from harness import MINILM, PROGRAM, SMALL, START_SECONDS, Server

from embed_onnx import Model

TESTS = Path(__file__).parent
FOLDERS = [
    path.name for path in TESTS.iterdir() if path.is_dir() and path.name not in ("support", "__pycache__")
]
LONGEST = ("ray", "export", "lives", "compilers", "page", "clients", "slow", "originals")
"""Folders whose files take longest come first, so that the last file to start is a short one."""
hypothesis.settings.register_profile("quick", max_examples=50, deadline=None)
hypothesis.settings.register_profile("full", max_examples=200, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
pytest.register_assert_rewrite("bulk_runs", "contract", "raw_http")


def pytest_configure(config: pytest.Config) -> None:
    for name in FOLDERS:
        config.addinivalue_line("markers", f"{name}: the tests of tests/{name}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by its folder, and start with what takes longest."""
    for item in items:
        item.add_marker(folder_of(item))
    items.sort(
        key=lambda item: LONGEST.index(folder_of(item)) if folder_of(item) in LONGEST else len(LONGEST)
    )


def folder_of(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).parts[0]


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


@pytest.fixture(scope="session")
def scoring_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a models.txt and its artifacts: a small embedder, a reranker and a classifier."""
    folder = tmp_path_factory.mktemp("scoring") / "home"
    shutil.copytree(kept.scoring(), folder)
    return folder


@pytest.fixture(scope="session")
def sparse_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a models.txt and its artifacts: a small embedder, and a sparse model."""
    folder = tmp_path_factory.mktemp("sparse") / "home"
    shutil.copytree(kept.sparse(), folder)
    return folder


@pytest.fixture(scope="session")
def sparse_server(sparse_home: Path) -> Iterator[Server]:
    with Server([], {}, sparse_home) as started:
        started.wait_ready()
        yield started
        started.stop()


@pytest.fixture(scope="session")
def tokens_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a models.txt and its artifacts: a small embedder, and a model of token vectors."""
    folder = tmp_path_factory.mktemp("tokens") / "home"
    shutil.copytree(kept.token_vectors(), folder)
    return folder


@pytest.fixture(scope="session")
def tokens_server(tokens_home: Path) -> Iterator[Server]:
    with Server([], {}, tokens_home) as started:
        started.wait_ready()
        yield started
        started.stop()


@pytest.fixture(scope="session")
def scoring_server(scoring_home: Path) -> Iterator[Server]:
    with Server([], {}, scoring_home) as started:
        started.wait_ready()
        yield started
        started.stop()
