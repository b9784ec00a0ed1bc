"""Clients that are generated from /openapi.json, without a warning: one in Python, one in TypeScript."""

import json
import subprocess
from pathlib import Path

import client_programs
import npm
import numpy as np
import pytest
from client_programs import TEXTS, Drive, Outcomes
from harness import MINILM, Server

PACKAGES = ("openapi-typescript@7", "openapi-fetch@0.17", "typescript@5", "@types/node@20")
COMPILER = ("--strict", "--target", "es2022", "--module", "nodenext", "--types", "node")


@pytest.fixture(scope="module")
def outcomes(drive: Drive) -> Outcomes:
    return drive("openapi", "generated_client.py")


def test_nothing_in_the_schema_is_left_out(outcomes: Outcomes) -> None:
    code, log = outcomes["generator"].answer

    assert code == 0, log
    assert "WARNING" not in log


def test_vectors(outcomes: Outcomes, expected: np.ndarray) -> None:
    assert np.array_equal(expected, outcomes["texts"].vectors)


def test_models(outcomes: Outcomes) -> None:
    assert MINILM in outcomes["models"].answer


def test_an_error(outcomes: Outcomes) -> None:
    assert [404, "model_not_found"] == outcomes["unknown_model"].answer


def test_typescript(served: Server, key: str, expected: np.ndarray, tmp_path: Path) -> None:
    """The types are generated, a program that uses them compiles, and gets the vectors."""
    folder = npm.install(tmp_path, *PACKAGES)
    program = client_programs.PROGRAMS / "generated_client.ts"
    (folder / program.name).write_text(program.read_text())
    (folder / "package.json").write_text(json.dumps({"type": "module"}))

    def call(*command: str) -> str:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    call("npx", "openapi-typescript", f"{served.url}/openapi.json", "--output", "schema.d.ts")
    call("npx", "tsc", *COMPILER, program.name)
    answer = json.loads(call("node", program.with_suffix(".js").name, served.url, key, MINILM, *TEXTS))

    assert np.array_equal(expected, np.array(answer["vectors"], np.float32))
    assert "model_not_found" == answer["code"]
