"""What the system may refuse to a confined process: one warning, and the same vectors."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from harness import PROGRAM, ROOT, SMALL, START_SECONDS, Server, clean_environment, embed
from refused import RESOURCES

from embed_onnx import Model

SCRIPT = str(ROOT / "tests" / "support" / "refused.py")
OTHERS = ("getpriority", "sched_getaffinity", "madvise", "mlock", "sched_yield")
PRIORITY = "the system refuses to lower the priority of threads that compute"
AFFINITY = "the system refuses to keep each worker to cores of its own"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="filters of system calls are Linux's")


def refusing(calls: tuple[str, ...], error: str = "EPERM") -> tuple[str, ...]:
    """The beginning of a command whose process may not make these calls."""
    return (sys.executable, SCRIPT, ",".join(calls), error)


@pytest.mark.parametrize("kernels", ["auto", "off"])
@pytest.mark.parametrize(
    ("calls", "error"),
    [
        pytest.param(("setpriority",), "EPERM", id="setpriority"),
        pytest.param(RESOURCES, "EPERM", id="resources"),
        pytest.param((*RESOURCES, *OTHERS), "EPERM", id="and-reading-them"),
        pytest.param((*RESOURCES, *OTHERS), "ENOSYS", id="unknown-to-the-system"),
    ],
)
def test_a_model_in_process(artifacts: Path, small: Model, calls, error: str, kernels: str) -> None:
    """In an event loop too; the vectors are those of a process that may do all."""
    code = f"""
import asyncio, logging, sys
import numpy as np
from embed_onnx import Model

logging.basicConfig()
with Model.load({str(artifacts / SMALL)!r}) as model:
    now = model.encode(["a text", "another"])
    later = asyncio.run(model.encode_async(["a text", "another " * 200]))
np.save(sys.stdout.buffer, np.stack([now[0], later[0]]))
"""
    done = subprocess.run(
        [*refusing(calls, error), sys.executable, "-c", code],
        env=clean_environment() | {"EMBED_ONNX_KERNELS": kernels},
        capture_output=True,
        timeout=START_SECONDS,
        check=False,
    )

    log = done.stderr.decode()
    assert 0 == done.returncode, log
    assert (1, 0) == (log.count(PRIORITY), log.count("Traceback"))
    vectors = np.frombuffer(done.stdout[-2 * 32 * 4 :], np.float32).reshape(2, 32)
    assert (vectors[0] == vectors[1]).all()
    if kernels == "auto":
        assert (small.encode("a text") == vectors[0]).all()


@pytest.mark.parametrize("calls", [RESOURCES, (*RESOURCES, *OTHERS)], ids=["resources", "all"])
def test_a_server(serve: Callable[..., Server], calls: tuple[str, ...]) -> None:
    server = serve(program=(*refusing(calls), *PROGRAM))

    assert 200 == embed(server.url, "a text").status_code
    log = server.stop()
    assert 0 == server.process.returncode
    assert (1, 0) == (log.count(PRIORITY), log.count("Traceback"))


def test_a_server_of_workers(serve: Callable[..., Server]) -> None:
    """Each worker warns of its threads, their parent of the cores; they serve."""
    server = serve("--workers", "2", "--threads", "2", program=(*refusing(RESOURCES), *PROGRAM))

    assert [200] * 4 == [embed(server.url, f"text {number}").status_code for number in range(4)]
    log = server.stop()
    assert 0 == server.process.returncode
    assert (1, 0) == (log.count(AFFINITY), log.count("Traceback"))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_that_can_write_nowhere(serve: Callable[..., Server], workers: str) -> None:
    """No home, and no temporary folder: making a folder is refused, as on a read-only system."""
    calls = ("mkdir", "mkdirat")
    server = serve(
        "--workers",
        workers,
        HOME="/nowhere",
        TMPDIR="/nowhere",
        program=(*refusing(calls, "EROFS"), *PROGRAM),
    )

    assert 200 == embed(server.url, "a text").status_code
    log = server.stop()
    assert 0 == server.process.returncode, log
    assert 0 == log.count("Traceback"), log
    assert int(workers == "2") == log.count("no temporary folder can be made")
