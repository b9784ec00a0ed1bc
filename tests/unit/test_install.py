"""The command that installs an extra fits how the package was installed."""

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from harness import ROOT

from embed_onnx import install


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, "'embed-onnx[bulk]'"),
        ({"url": "file:///absent/embed_onnx.whl", "archive_info": {}}, "'embed-onnx[bulk]'"),
        ({"url": "https://example.com/embed_onnx.whl", "archive_info": {}}, "'embed-onnx[bulk]'"),
        ({"url": "file://ROOT", "dir_info": {}}, "'ROOT[bulk]'"),
        ({"url": "file://ROOT", "dir_info": {"editable": True}}, "--editable 'ROOT[bulk]'"),
        ({"url": "file:///absent", "dir_info": {"editable": True}}, "'embed-onnx[bulk]'"),
    ],
    ids=["index", "a wheel that is gone", "an address", "a folder", "a checkout", "a checkout that is gone"],
)
def test_requirement(tmp_path: Path, origin: dict[str, Any] | None, expected: str) -> None:
    root = tmp_path / "a folder"
    root.mkdir()
    direct_url = json.dumps(origin).replace("ROOT", str(root).replace(" ", "%20")) if origin else None

    assert expected.replace("ROOT", str(root)) == install.requirement_of("bulk", direct_url)


def test_pip_takes_the_command(tmp_path: Path) -> None:
    """In this environment, where the checkout is installed."""
    command = install.command("hub")
    pip, verb, *words = shlex.split(command)
    done = subprocess.run(
        [pip, verb, "--dry-run", "--no-deps", "--no-index", "--no-build-isolation", *words],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert f"'{ROOT}[hub]'" in command
    assert f"Obtaining file://{ROOT}" in done.stdout
