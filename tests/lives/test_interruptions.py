"""Signals that end a command, at every stage: its exit code, and that nothing half made or alive stays."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
import small_models
from harness import MINILM, PROGRAM, SMALL, START_SECONDS, WITHOUT_PYTORCH, at_start, clean_environment, until

from embed_onnx.artifact import manifest

ENDING = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
AS_SHELLS = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}
HEARS_INTERRUPTS = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
HEARS_HANGUPS = "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
"""Run at the start of a process: children inherit ignored signals from the program that runs the tests."""
HIDES_PYTORCH = f"import runpy\nrunpy.run_path({WITHOUT_PYTORCH['PYTHONPATH'] + '/sitecustomize.py'!r})\n"
STAYS = """
import sys, time
write = sys.stderr.write
def write_and_stay(text):
    written = write(text)
    if {stage!r} in text:
        sys.stderr.flush()
        time.sleep(60)
    return written
sys.stderr.write = write_and_stay
"""
"""A process sleeps once it has said that it is at a stage: a signal meets it there, and ends the sleep."""


class Command:
    """``embed-onnx`` in a process of its own, which does not outlive its context; its words are read."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        program: tuple[str, ...] = PROGRAM,
        pytorch: bool = False,
        stage: str = "exporting",
    ) -> None:
        first = HEARS_INTERRUPTS + HEARS_HANGUPS * (program == PROGRAM) + HIDES_PYTORCH * (not pytorch)
        if stage:
            first += STAYS.format(stage=f"{SMALL}: {stage}")
        staging = folder / "start"
        staging.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [*program, *arguments],
            cwd=folder,
            env=clean_environment() | at_start(staging, first),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(START_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def wait_for(self, words: str) -> None:
        until(lambda: words in self.text or self.process.poll() is not None)
        assert words in self.text, self.text

    def end(self, number: int) -> int:
        """Send a signal; the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(START_SECONDS)
        self._reader.join(START_SECONDS)
        return code


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interrupted") / "checkpoint"
    small_models.save(folder)
    return folder


@pytest.fixture
def listed(checkpoint: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder whose models.txt lists a small model that is not exported; no process there outlives it."""
    (tmp_path / "models.txt").write_text(f"{checkpoint}  name={SMALL}\n")
    yield tmp_path
    assert [] == alive(tmp_path)


def alive(folder: Path) -> list[int]:
    """The processes that were started in a folder."""
    result = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdecimal() and (process / "cwd").readlink() == folder:
                result.append(int(process.name))
        except OSError:
            continue
    return result


def left(folder: Path) -> list[str]:
    """What is in the folder of artifacts."""
    return sorted(path.name for path in (folder / "artifacts").glob("*"))


def unfinished(folder: Path) -> list[str]:
    """What is in the folder of artifacts, but for an artifact that was complete before the signal came."""
    artifact = folder / "artifacts" / SMALL
    if artifact.exists():
        manifest.verify(manifest.read(artifact), artifact)
    return [name for name in left(folder) if name != SMALL]


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("stage", ["loading", "exporting", "checking"])
def test_export(listed: Path, stage: str, number: int) -> None:
    """At any stage of it, and with PyTorch as without; a later one exports as if nothing had been."""
    with Command(listed, "export", pytorch=number == signal.SIGTERM, stage=stage) as command:
        command.wait_for(f"{SMALL}: {stage}")

        assert AS_SHELLS[number] == command.end(number)
        assert command.text.endswith(f"embed-onnx: stopped by {signal.Signals(number).name}\n")
        assert "Traceback" not in command.text
    assert [] == left(listed)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"]
)
def test_serve_that_exports(listed: Path, workers: str, number: int, code: int) -> None:
    """The export is a process of its own: it ends, too, and has removed what was half made."""
    with Command(listed, "serve", "--port", "0", "--workers", workers, "--threads", "2") as command:
        command.wait_for(f"{SMALL}: exporting")

        assert code == command.end(number)
        assert [] == alive(listed)
        assert [] == unfinished(listed)
        assert "Traceback" not in command.text
        assert "listening" not in command.text


def test_an_export_that_has_no_time_to_clean_up(listed: Path) -> None:
    """It is killed when the server's own limit is over, and the server ends as it should all the same."""
    with Command(listed, "serve", "--port", "0", "--drain-timeout", "0") as command:
        command.wait_for(f"{SMALL}: exporting")

        assert 0 == command.end(signal.SIGTERM)
        assert [] == alive(listed)
        assert "Traceback" not in command.text
        assert command.text.endswith("embed-onnx: stopped before it served\n")


def test_serve_that_is_killed_while_it_exports(listed: Path) -> None:
    """The export ends with it."""
    with Command(listed, "serve", "--port", "0") as command:
        command.wait_for(f"{SMALL}: exporting")
        command.end(signal.SIGKILL)

        until(lambda: alive(listed) == [])
        assert [] == left(listed)


def test_ctrl_c_of_a_terminal_reaches_the_export_once(listed: Path) -> None:
    """It is sent to the whole process group."""
    with Command(listed, "serve", "--port", "0", program=("setsid", *PROGRAM)) as command:
        command.wait_for(f"{SMALL}: exporting")
        os.killpg(command.process.pid, signal.SIGINT)

        assert 130 == command.process.wait(START_SECONDS)
        assert [] == left(listed)
    assert 2 == command.text.count("stopped by SIGINT")  # the export's words and the server's


def test_signals_that_are_sent_twice(listed: Path) -> None:
    """As timeout does, to the process and to its group; what is half made is still removed."""
    with Command(listed, "export") as command:
        command.wait_for(f"{SMALL}: exporting")
        command.process.send_signal(signal.SIGTERM)
        command.process.send_signal(signal.SIGHUP)

        assert command.end(signal.SIGTERM) in (129, 143)
    assert [] == left(listed)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "stage", ["listening on", "running as root" if os.geteuid() == 0 else "listening on", "loaded"]
)
def test_serve_that_loads(home: Path, tmp_path: Path, stage: str, number: int, workers: str) -> None:
    """From the moment that it has its port it drains: exit code 0."""
    flags = [
        "--artifacts",
        str(home / "artifacts"),
        "--models",
        "none",
        "--workers",
        workers,
        "--threads",
        "2",
    ]
    with Command(tmp_path, "serve", "--port", "0", *flags) as command:
        command.wait_for(stage)

        assert 0 == command.end(number)
        assert "Traceback" not in command.text
    assert [] == alive(tmp_path)


def test_a_hangup_is_a_reload_and_none_while_draining(home: Path, tmp_path: Path) -> None:
    flags = ["--artifacts", str(home / "artifacts"), "--models", "none"]
    with Command(tmp_path, "serve", "--port", "0", *flags) as command:
        command.wait_for(f"loaded {MINILM}")
        command.process.send_signal(signal.SIGHUP)
        command.wait_for("reloaded; served are")
        command.process.send_signal(signal.SIGTERM)
        command.process.send_signal(signal.SIGHUP)

        assert 0 == command.process.wait(START_SECONDS)


@pytest.mark.parametrize("number", ENDING)
def test_embed(home: Path, tmp_path: Path, number: int) -> None:
    """What was done is kept, and the same command goes on."""
    (tmp_path / "in.txt").write_text("a few words for it to read, again and again\n" * 20_000)
    flags = ["--artifacts", str(home / "artifacts"), "--models", "none", "--model", SMALL, "-o", "out.npy"]
    state = tmp_path / "out.npy.partial/journal.json"
    with Command(tmp_path, "embed", "in.txt", *flags) as command:
        until(lambda: state.exists() or command.process.poll() is not None)

        assert AS_SHELLS[number] == command.end(number)
    name = signal.Signals(number).name
    assert command.text.endswith(f"embed-onnx: stopped by {name}; the same command continues from here\n")
    assert json.loads(state.read_bytes())["finished"] is None
    assert not (tmp_path / "out.npy").exists()


@pytest.mark.parametrize("number", ENDING)
def test_report(home: Path, tmp_path: Path, number: int) -> None:
    """The card that was there stays as it was; the other precision, half made, is removed."""
    (tmp_path / "models.txt").write_text(f"{home}/checkpoint  name={SMALL}\n")
    shutil.copytree(home / "artifacts" / SMALL, tmp_path / "artifacts" / SMALL)
    before = sorted(path.name for path in (tmp_path / "artifacts" / SMALL).iterdir())
    with Command(tmp_path, "report", SMALL, pytorch=True) as command:
        command.wait_for("report: exporting")

        assert AS_SHELLS[number] == command.end(number)
    assert [SMALL] == left(tmp_path)
    assert before == sorted(path.name for path in (tmp_path / "artifacts" / SMALL).iterdir())


def test_a_command_that_ignores_hangups_goes_on(listed: Path) -> None:
    """As nohup has it."""
    with Command(listed, "export", program=("nohup", *PROGRAM), stage="") as command:
        command.wait_for(f"{SMALL}: loading")
        command.process.send_signal(signal.SIGHUP)

        assert 0 == command.process.wait(START_SECONDS)
    assert [SMALL] == left(listed)


def can_be_process_1() -> bool:
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True, check=False
    )
    return done.returncode == 0


def child_of(pid: int) -> int:
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


@pytest.mark.skipif(
    shutil.which("unshare") is None or not can_be_process_1(), reason="no new namespace of processes here"
)
@pytest.mark.parametrize(
    ("arguments", "stage", "code"),
    [
        pytest.param(["export"], f"{SMALL}: exporting", 143, id="export"),
        pytest.param(["serve", "--port", "0"], f"{SMALL}: exporting", 0, id="serve-exports"),
        pytest.param(["serve", "--port", "0"], "listening on", 0, id="serve-listens"),
        pytest.param(["serve", "--port", "0", "--workers", "2"], "listening on", 0, id="workers"),
    ],
)
def test_process_1_of_a_container_hears_signals(
    listed: Path, home: Path, arguments: list[str], stage: str, code: int
) -> None:
    """To which the kernel passes those alone that it has handlers for."""
    if stage == "listening on":
        shutil.copytree(home / "artifacts" / SMALL, listed / "artifacts" / SMALL)
        arguments = [*arguments, "--models", "none"]
    program = ("unshare", "--pid", "--fork", "--mount-proc", *PROGRAM)
    with Command(listed, *arguments, program=program) as command:
        command.wait_for(stage)
        os.kill(child_of(command.process.pid), signal.SIGTERM)

        assert code == command.process.wait(START_SECONDS)
    assert [SMALL] * (stage == "listening on") == left(listed)


HANDLERS = """
import signal, sys
import embed_onnx.__main__
before = set(sys.modules)
handle = embed_onnx.__main__.signals.handle
def first():
    handle()
    slow = {"rich_click", "click", "msgspec", "embed_onnx.cli.main", "embed_onnx.settings"}
    heavy = slow & set(sys.modules)
    print(heavy, signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL)
    sys.exit()
embed_onnx.__main__.signals.handle = first
embed_onnx.__main__.main()
"""


def test_handlers_come_before_anything_that_takes_time_to_import() -> None:
    done = subprocess.run([sys.executable, "-c", HANDLERS], capture_output=True, text=True, check=False)

    assert "set() True\n" == done.stdout, done.stderr
