"""What breaks under a running server, and what becomes of it: lanes, disks, artifacts."""

import resource
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from harness import (
    SMALL,
    START_SECONDS,
    WEB,
    WITHOUT_PYTORCH,
    clean_environment,
    embed,
    free_port,
    until,
)

FAULTY = (
    sys.executable,
    "-c",
    """
import time
from embed_onnx.cli import main as cli; from embed_onnx.engine import inference

whole = inference.Inference.run

def run(self, sequences):
    lengths = {len(sequence) for sequence in sequences}
    if 30 in lengths:
        raise SystemExit
    while 40 in lengths:
        time.sleep(1)
    return whole(self, sequences)

inference.Inference.run = run
cli.main()
""",
)
"""The server, with an encoder whose thread dies of a sequence of 30 tokens, and hangs at one of 40."""
DIES, HANGS = [2, *range(5, 33), 3], [2, *range(5, 43), 3]


@pytest.mark.parametrize(("fault", "log"), [(DIES, "died"), (HANGS, "has been at 40 tokens")])
def test_a_lane_in_trouble_fails_its_request_and_no_other(serve, fault: list[int], log: str) -> None:
    server = serve("--threads", "1", "--lane-timeout", "2", program=FAULTY)

    failed = embed(server.url, fault, model=SMALL)

    assert 500 == failed.status_code
    assert log in failed.json()["error"]["message"]
    assert 200 == embed(server.url, "another text", model=SMALL).status_code
    assert 200 == WEB.get(f"{server.url}/ready").status_code
    assert "another takes its place" in server.stop()
    assert 0 == server.process.returncode


def test_lanes_that_keep_dying_end_the_process(serve) -> None:
    """With exit code 1, so that its supervisor starts it again."""
    server = serve("--threads", "1", "--lane-timeout", "2", "--drain-timeout", "5", program=FAULTY)

    statuses = [embed(server.url, DIES, model=SMALL).status_code for _ in range(3)]

    log = server.finish()
    assert [500] * 3 == statuses
    assert 1 == server.process.returncode
    assert "embed-onnx: 3 lanes died or hung within 600 s" in log.splitlines()[-1]


def test_a_lane_that_hangs_is_not_ready(serve) -> None:
    """Every lane is at a hanging sequence, the quick one as well: no token of the probe comes back."""
    server = serve("--threads", "1", "--lane-timeout", "600", "--drain-timeout", "0", program=FAULTY)
    for value in ([HANGS, HANGS], HANGS):
        with pytest.raises(httpx.ReadTimeout):
            WEB.post(f"{server.url}/embeddings", json={"input": value, "model": SMALL}, timeout=1)

    def ready() -> httpx.Response:
        return WEB.get(f"{server.url}/ready")

    until(lambda: ready().status_code != 200)
    answer = ready()

    assert "one token was not embedded within 5 s" in answer.json()["error"]["message"]
    assert 200 == WEB.get(f"{server.url}/health").status_code


def test_an_artifact_that_is_damaged_while_served(serve, copied: Path) -> None:
    """What is in memory goes on, to the bit, after a reload as well: its manifest is what it was."""
    flags = ["--models", str(copied / "none"), "--artifacts", str(copied / "artifacts")]
    server = serve(*flags)
    before = embed(server.url, "a text").json()["data"]

    for name in ("model.onnx", "tokenizer.json"):
        path = copied / "artifacts" / SMALL / name
        path.write_bytes(b"\0" * path.stat().st_size)
        path.write_bytes(b"")
    server.process.send_signal(signal.SIGHUP)
    until(lambda: any("reloaded; served are small" in line for line in server.log))

    assert before == embed(server.url, "a text").json()["data"]


def test_a_damaged_artifact_does_not_come_back_into_memory(serve, copied: Path) -> None:
    flags = ["--models", str(copied / "none"), "--artifacts", str(copied / "artifacts")]
    server = serve(*flags, "--idle-unload", "0.2")
    until(lambda: any("unloaded" in line for line in server.log))
    (copied / "artifacts" / SMALL / "model.onnx").write_bytes(b"other")

    answer = embed(server.url, "a text")

    assert 503 == answer.status_code
    assert "the model cannot be loaded again" in answer.json()["error"]["message"]
    until(lambda: any("model.onnx is damaged" in line for line in server.log))


def test_a_log_that_cannot_be_written_stops_nothing(copied: Path) -> None:
    """A full disk behind standard error."""
    port = free_port()
    command = [sys.executable, "-m", "embed_onnx", "serve", "--port", str(port), "--models", "none"]
    with Path("/dev/full").open("w") as full:
        process = subprocess.Popen(command, cwd=copied, stderr=full, stdout=full, env=clean_environment())
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(f"{url}/ready"))
        statuses = [embed(url, "a").status_code for _ in range(20)]
    finally:
        process.terminate()

    assert [200] * 20 == statuses
    assert 0 == process.wait(START_SECONDS)


def test_an_export_onto_a_full_disk_leaves_nothing_behind(home: Path, tmp_path: Path) -> None:
    """A file may not be as large as the model: one sentence says so, and no artifact is half there."""
    (tmp_path / "models.txt").write_text(f"{home / 'checkpoint'} name={SMALL}\n")
    done = subprocess.run(
        [sys.executable, "-m", "embed_onnx", "export"],
        cwd=tmp_path,
        env=clean_environment() | WITHOUT_PYTORCH,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )

    assert 1 == done.returncode
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert [] == [path for path in tmp_path.rglob("*") if path.name != "models.txt" and path.is_file()]


def answers(url: str) -> bool:
    try:
        return WEB.get(url).status_code == 200
    except httpx.ConnectError:
        return False
