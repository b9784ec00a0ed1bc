"""deploy/embed-onnx.service, by systemd's own tools, and a server under its rules."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from deployment import DEPLOY, REQUEST, STOP_SECONDS, needs
from harness import PROGRAM, ROOT, START_SECONDS, Server


def unit(section: str) -> dict[str, list[str]]:
    """The settings of a section; one that stands several times has several values."""
    text = (DEPLOY / "embed-onnx.service").read_text().split(f"[{section}]\n")[1].split("\n[")[0]
    result: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            result.setdefault(name, []).append(value)
    return result


def system_calls(*words: str) -> set[str]:
    """The system calls of names and of systemd's groups of them, which begin with ``@``."""
    result: set[str] = set()
    for word in words:
        if not word.startswith("@"):
            result.add(word)
            continue
        command = ["systemd-analyze", "syscall-filter", word]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        inside = [line.partition("#")[0].strip() for line in listed.splitlines()[1:]]
        result |= system_calls(*[name for name in inside if name])
    return result


def confined() -> list[str]:
    """What runs a command under the unit's rules for system calls, memory and sockets."""
    rules = unit("Service")
    allowed, refused = rules["SystemCallFilter"]
    calls = system_calls(*allowed.split()) - system_calls(*refused.removeprefix("~").split())
    families = rules["RestrictAddressFamilies"][0].split()
    script = str(ROOT / "tests/support/confined.py")
    return [sys.executable, script, ",".join(sorted(calls)), ",".join(families)]


@needs("systemd-analyze")
@pytest.mark.parametrize("keys", [False, True], ids=["without-keys", "with-keys"])
def test_unit_is_understood(tmp_path: Path, keys: bool) -> None:
    """systemd finds nothing wrong with it, whether or not its lines about keys are taken in."""
    text = (DEPLOY / "embed-onnx.service").read_text().replace("/opt/embed-onnx/bin/embed-onnx", "/bin/true")
    copy = tmp_path / "embed-onnx.service"
    copy.write_text(re.sub(r"^#(?=\S+=)", "", text, flags=re.MULTILINE) if keys else text)

    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stderr)
    assert keys == ("\nLoadCredential=" in copy.read_text())


@needs("systemd-analyze")
def test_unit_exposes_little() -> None:
    """systemd's own count of what a service could do, from 0 to 10; it calls 2 and less OK."""
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager"]

    done = subprocess.run([*command, DEPLOY / "embed-onnx.service"], capture_output=True, check=False)

    assert 0 == done.returncode


def test_unit_starts_again_and_stops_in_time() -> None:
    service = unit("Service")

    assert ["/opt/embed-onnx/bin/embed-onnx serve"] == service["ExecStart"]
    assert ["/bin/kill -HUP $MAINPID"] == service["ExecReload"]
    assert ["mixed"] == service["KillMode"]
    assert ["on-failure"] == service["Restart"]
    assert int(service["TimeoutStopSec"][0]) > STOP_SECONDS
    assert ["yes"] == service["DynamicUser"]
    assert ["strict"] == service["ProtectSystem"]


@needs("systemd-analyze")
def test_unit_lets_the_server_work(home: Path) -> None:
    """Under its rules the server starts, embeds and stops: no memory is both written and executed."""
    server = Server([], {}, home, (*confined(), *PROGRAM))
    try:
        server.wait_ready()
        answer = httpx.post(f"{server.url}/v1/embeddings", json=REQUEST, timeout=START_SECONDS)
        log = server.stop()
    finally:
        server.kill()

    assert 200 == answer.status_code
    assert "kernels" in log
    assert 0 == server.process.returncode


@needs("systemd-analyze")
@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import mmap; mmap.mmap(-1, 4096, prot=7)", id="writable-code"),
        pytest.param("import socket; socket.socket(socket.AF_NETLINK)", id="other-sockets"),
        pytest.param("import os; os.setuid(os.getuid())", id="privileges"),
    ],
)
def test_the_rules_are_in_force(code: str) -> None:
    """What the last test runs the server under does refuse what it should."""
    command = [*confined(), sys.executable, "-c", code]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert 1 == done.returncode
    assert "PermissionError" in done.stderr
