"""Servers are known wherever they listen and however they were started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness import clean_environment, until

from embed_onnx.http import health
from embed_onnx.http.health import Address


@pytest.mark.parametrize("way", ["absolute", "relative", "through-a-link", "looked-for"])
def test_a_server_of_this_installation_is_known(home: Path, tmp_path: Path, way: str) -> None:
    """By any spelling of its Python; the path of its socket has blanks."""
    path = tmp_path / "my own" / "api  1.sock"
    path.parent.mkdir()
    python = Path(sys.executable)
    (tmp_path / "link").symlink_to(python.parent.parent)
    program = {
        "absolute": str(python),
        "relative": os.path.relpath(python, home),
        "through-a-link": str(tmp_path / "link" / "bin" / python.name),
        "looked-for": python.name,
    }[way]
    environment = clean_environment() | {"PATH": f"{python.parent}:{os.environ['PATH']}"}
    command = [program, "-m", "embed_onnx", "serve", "--host", f"unix:{path}"]
    with subprocess.Popen(command, cwd=home, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: Address(str(path)) in health.addresses() or process.poll() is not None)
            assert 200 == health.status(Address(str(path)), "/health", seconds=60)
        finally:
            process.kill()
    assert Address(str(path)) not in health.addresses()


def test_a_program_that_is_none_of_ours_is_not_asked(tmp_path: Path) -> None:
    """Another installation's server, by its command line."""
    other = tmp_path / "python"
    other.symlink_to(sys.executable)
    code = (
        "import socket, time; s = socket.create_server(('127.0.0.1', 0)); "
        "print(s.getsockname()[1], flush=True); time.sleep(600)"
    )
    command = [str(other), "-c", code, "embed-onnx", "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            assert Address("127.0.0.1", port) not in health.addresses()
        finally:
            process.kill()
