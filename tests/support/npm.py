"""Packages for Node, as npm installs them in the folder of a user's project."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

UNREACHABLE = ("ENOTFOUND", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "EAI_AGAIN", "E401", "E403")
"""What npm says where there is no registry for it."""


def install(folder: Path, *packages: str) -> Path:
    """The folder, in which Node finds the packages; skip the test without Node or a registry."""
    command = shutil.which("npm")
    if command is None or shutil.which("node") is None:
        pytest.skip("node or npm is not installed")
    done = subprocess.run(
        [command, "install", "--no-audit", "--no-fund", "--no-update-notifier", *packages],
        cwd=folder,
        env=os.environ | {"npm_config_fetch_retries": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode and any(code in done.stderr for code in UNREACHABLE):
        pytest.skip(f"npm reaches no registry: {done.stderr.splitlines()[0]}")
    assert done.returncode == 0, done.stderr
    return folder
