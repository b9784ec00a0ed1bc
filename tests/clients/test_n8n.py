"""n8n's nodes for embeddings, by the packages and versions of LangChain's that n8n 2.40 makes them of.

n8n itself, of 3 GB, is not installed here: docs/recipes.md says what ran in it.
"""

import json
import shutil
import subprocess
from typing import Any

import client_programs
import npm
import numpy as np
import pytest
from client_programs import TEXTS
from harness import MINILM, Server

PACKAGES = ("@langchain/core@1.2.8", "@langchain/openai@1.4.4", "@langchain/ollama@1.2.6")


@pytest.fixture(scope="module")
def result(served: Server, key: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = npm.install(tmp_path_factory.mktemp("node"), *PACKAGES)
    program = shutil.copy(client_programs.PROGRAMS / "n8n_nodes.mjs", folder)
    command = ["node", program, served.url, key, MINILM, *TEXTS]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("node", ["openai", "ollama"])
def test_vectors(result: dict[str, Any], expected: np.ndarray, node: str) -> None:
    assert np.array_equal(expected, np.array(result["answers"][node], np.float32))


def test_options(result: dict[str, Any], expected_8: np.ndarray) -> None:
    assert np.array_equal(expected_8, np.array(result["answers"]["short"], np.float32))


def test_a_query(result: dict[str, Any], expected: np.ndarray) -> None:
    assert np.array_equal(expected[:1], np.array(result["answers"]["query"], np.float32))


def test_a_model_that_is_not_served(result: dict[str, Any]) -> None:
    """The node's own default, for example."""
    assert {"status": 404, "code": "model_not_found"} == result["failure"]
