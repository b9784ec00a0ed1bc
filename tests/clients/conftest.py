"""One real server, the clients that ask it, and the vectors that they should get."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import client_programs
import numpy as np
import pytest
from client_programs import TEXTS, Drive, Outcomes
from harness import MINILM, SMALL, Server

from embed_onnx import Model

KEY = "a-key"
QUEUE_TOKENS = 4096
"""So few that a client can fill the queue within a second."""


@pytest.fixture(scope="session")
def key() -> str:
    """The key of ``served``."""
    return KEY


@pytest.fixture(scope="session")
def served(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a key, a small queue, and the names that some clients have built in."""
    models = tmp_path_factory.mktemp("served") / "models.txt"
    aliases = "text-embedding-3-small,nomic-embed-text"
    models.write_text(f"{MINILM}  alias={aliases}\n{home / 'checkpoint'}  name={SMALL}\n")
    arguments = ["--models", str(models), "--api-keys", KEY, "--queue-tokens", str(QUEUE_TOKENS)]
    with Server(arguments, {}, home) as server:
        server.wait_ready()
        yield server
        log = server.stop()
    assert "Traceback" not in log


@pytest.fixture(scope="session")
def drive(served: Server, tmp_path_factory: pytest.TempPathFactory) -> Drive:
    """Run a program in an environment, once; what each of its cases gave."""

    @cache
    def start(environment: str, program: str) -> Outcomes:
        home = tmp_path_factory.mktemp(environment)
        return client_programs.run(environment, program, [served.url, KEY, MINILM], home)

    return start


@pytest.fixture(scope="session")
def expected(minilm: Model) -> np.ndarray:
    """Vectors [texts, dimensions] of what the programs send, by the model in process."""
    return minilm.encode(TEXTS)


@pytest.fixture(scope="session")
def expected_8(minilm: Model) -> np.ndarray:
    """The same with 8 dimensions."""
    return minilm.encode(TEXTS, dimensions=8)


@pytest.fixture(scope="session")
def expected_by_type(minilm: Model) -> dict[str, np.ndarray]:
    """The same in every type, under the names of Cohere's, Voyage's and Mistral's clients."""
    ranges = minilm.ranges()
    return {
        "float": minilm.encode(TEXTS),
        "int8": minilm.encode(TEXTS, dtype="int8", ranges=ranges),
        "uint8": minilm.encode(TEXTS, dtype="uint8", ranges=ranges),
        "binary": minilm.encode(TEXTS, dtype="binary"),
        "ubinary": minilm.encode(TEXTS, dtype="ubinary"),
    }
