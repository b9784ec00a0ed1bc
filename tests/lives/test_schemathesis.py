"""What a server does against what its /openapi.json says: Schemathesis asks, and compares every answer."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from harness import Server


def schemathesis(server: Server, folder: Path, *arguments: str) -> str:
    """Run it from a folder of its own; its report where something disagrees, else nothing.

    Of its checks one does not fit: that what the schema allows must be accepted. How many dimensions
    and which prompts there are differs from model to model, and the schema is one for all of them.
    """
    done = subprocess.run(
        [
            *[sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"],
            *["--exclude-checks", "positive_data_acceptance", "--continue-on-failure", "--no-color"],
            *["--seed", "1", "--generation-database", "none", *arguments],
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert "Tested: 0" not in done.stdout
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_the_server_does_what_its_schema_says(server: Server, tmp_path: Path) -> None:
    """Valid and invalid requests to every operation: statuses, media types and bodies are as documented."""
    assert "" == schemathesis(server, tmp_path, "--max-examples", "15")


def test_refusals_without_a_key_are_in_the_schema(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve("--api-keys", "only-this-one")

    assert "" == schemathesis(server, tmp_path, "--max-examples", "3", "--phases", "coverage,fuzzing")
