"""How a long run keeps its place: files that only grow, and a journal of how far each of them counts.

All is in the folder OUTPUT.partial until it is complete:

    lock            held by the process that writes the output
    plan.json       the command, its inputs and its model: what must be the same to continue
    journal.json    what is done, replaced atomically after the files were synced to the disk
    rejects.jsonl   records without a vector
    ...             the files of a writer

A run that was killed leaves more in the files than the journal knows of; the next one cuts that off, and
reads on where the journal says. At the end files are renamed to their places, the output last.
"""

import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from embed_onnx import files
from embed_onnx.bulk.blocks import Position, Reject
from embed_onnx.bulk.inputs import REJECTS, STANDARD_INPUT, Inputs
from embed_onnx.bulk.writers import MAIN, Meta, Writer
from embed_onnx.errors import SetupError
from embed_onnx.system.signals import Interruption

P = TypeVar("P", bound="Plan")
COMMIT_SECONDS = 2.0
"""The most written work that a kill costs, besides the blocks that are being embedded."""
JOURNAL = "journal.json"
REJECTS_FILE = "rejects.jsonl"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""On a disk, in a quota, or in a file; such errors of a file that is open do not name it."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What decides what any result holds; each command adds its own options.

    ``artifact`` is the sha256 of the model's file, ``manifest`` that of the manifest, which has those of all
    other files and how the model is used.
    """

    format: int = 2
    inputs: Inputs
    model: str
    repo: str
    revision: str | None
    artifact: str
    manifest: str
    precision: str
    runs_on: str


class State(msgspec.Struct, kw_only=True):
    """How far a run is.

    ``sizes`` are the bytes of each file that count; ``finished`` are the suffixes of the files that are to be
    renamed.
    """

    position: Position = Position()
    rows: int = 0
    rejected: int = 0
    truncated: int = 0
    tokens: int = 0
    ranges: list[list[float]] | None = None
    calibration_rows: int | None = None
    sizes: dict[str, int] = {}
    finished: dict[str, str] | None = None


class Journal:
    """A run at an output. ``state`` may be changed; ``commit`` makes it last."""

    def __init__(self, output: Path, plan: Plan, writer: Writer) -> None:
        self.state = State()
        self._output = output
        self._folder = folder(output)
        self._plan = plan
        self._writer = writer
        self._files: dict[str, IO[bytes]] = {}
        self._committed = time.monotonic()

    def append(self, rows: list[bytes], rejects: list[Reject]) -> None:
        """Let the writer's files grow, and that of the rejects."""
        for name, more in zip(self._writer.names, rows, strict=True):
            self._files[name].write(more)
        self._files[REJECTS_FILE].write(msgspec.json.Encoder().encode_lines(rejects) if rejects else b"")
        if time.monotonic() - self._committed > COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Make what was appended, and the state, last."""
        for name, file in self._files.items():
            files.sync(file)
            self.state.sizes[name] = file.tell()
        files.replace(self._folder / JOURNAL, msgspec.json.encode(self.state))
        self._committed = time.monotonic()

    def finish(self, meta: Meta) -> None:
        """Complete the files and put them in their places."""
        if self.state.finished is None:
            self.commit()
            self._close()
            places = self._writer.close(self._folder, meta)
            if self.state.rejected:
                places[REJECTS_FILE] = REJECTS
            for name in places:
                with (self._folder / name).open("rb") as file:
                    files.sync(file)
            self.state.finished = places
            self.commit()
        if not self.state.rejected:
            Path(f"{self._output}{REJECTS}").unlink(missing_ok=True)
        # The output comes last: where it is, all is.
        for name, suffix in sorted(self.state.finished.items(), key=lambda place: place[1] == MAIN):
            if (self._folder / name).exists():
                (self._folder / name).replace(f"{self._output}{suffix}")
        files.sync_folder(self._output.parent)
        # The journal goes first: without it, the rest is not taken for a run.
        (self._folder / JOURNAL).unlink()
        shutil.rmtree(self._folder)

    def _open(self) -> None:
        """Continue the run that is there, or begin one.

        Raises:
            SetupError: It is of another plan, or damaged.
        """
        state = read_state(self._output)
        if state is None or (state.position == Position() and state.finished is None):
            _clear(self._folder)
            files.replace(self._folder / "plan.json", msgspec.json.encode(self._plan))
            for name, head in zip(
                (*self._writer.names, REJECTS_FILE), (*self._writer.start(), b""), strict=True
            ):
                self._files[name] = (self._folder / name).open("wb")
                self._files[name].write(head)
            self.commit()
            return
        _check_plan(read_plan(self._output, type(self._plan)), self._plan, self._output)
        self.state = state
        if state.finished is not None:
            return
        for name, size in state.sizes.items():
            path = self._folder / name
            if not path.exists() or path.stat().st_size < size:
                raise SetupError(f"{path} is shorter than its journal says; start again with --restart")
            os.truncate(path, size)
            self._files[name] = path.open("ab")

    def _close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files = {}


@contextmanager
def at(output: Path, plan: Plan, writer: Writer, *, restart: bool) -> Iterator[Journal]:
    """The journal of an output: a run that was killed continues, unless ``restart``.

    Raises:
        SetupError: Another process writes the output, or what is there is of another plan, or damaged; or
            there is no room for it.
        Interruption: A signal came; it says that the run can continue, from when there is a journal.
    """
    with _locked(output):
        if restart:
            _clear(folder(output))
        journal = Journal(output, plan, writer)
        try:
            journal._open()
            yield journal
        except Interruption as interruption:
            if (folder(output) / JOURNAL).exists():
                interruption.sentence += "; the same command continues from here"
            raise
        except OSError as err:
            if err.errno not in NO_ROOM:
                raise
            raise SetupError(
                f"{output} cannot be written: {err.strerror}; make room, and the same command continues"
            ) from err
        finally:
            journal._close()


@contextmanager
def _locked(output: Path) -> Iterator[None]:
    """Be the only process at an output."""

    def refuse() -> None:
        raise SetupError(f"another process is writing {output}; wait for it, or end it")

    folder(output).mkdir(exist_ok=True)
    lock = folder(output) / "lock"
    lock.touch()
    with files.locked(lock, busy=refuse):
        yield


def folder(output: Path) -> Path:
    """Where a run's files are until it is complete."""
    return Path(f"{output}.partial")


def tidy(output: Path) -> None:
    """Remove what is left of a run that was killed while it removed its own files."""
    if folder(output).exists() and read_state(output) is None:
        with _locked(output):
            shutil.rmtree(folder(output))


def read_state(output: Path) -> State | None:
    """How far the run at an output is; None where there is none.

    Raises:
        SetupError: It cannot be read.
    """
    state: State | None = _read(folder(output) / JOURNAL, State)
    return state


def read_plan(output: Path, kind: type[P]) -> P | None:
    """The plan of the run at an output; None where there is none, or one of another kind of command.

    Raises:
        SetupError: It cannot be read.
    """
    plan: P | None = _read(folder(output) / "plan.json", kind)
    return plan


def _read(path: Path, kind: Any) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.ValidationError):
        return None
    except ValueError as err:
        raise SetupError(f"{path} cannot be read: {err}; start again with --restart") from None


def _check_plan(old_plan: Plan | None, new_plan: Plan, output: Path) -> None:
    differences = ["it did something else"] if old_plan is None else _differences(old_plan, new_plan)
    if differences:
        raise SetupError(
            f"{folder(output)} holds an unfinished run of another command: {'; '.join(differences)}. "
            "Give the same command to continue it, or --restart to throw it away"
        )


def _differences(old_plan: Plan, new_plan: Plan) -> list[str]:
    """In words."""
    old, new = _flat(old_plan), _flat(new_plan)
    sentences = [f"{name} was {old[name]!r} and is {new[name]!r}" for name in old if old[name] != new[name]]
    before = {file.path: file for file in old_plan.inputs.files}
    after = {file.path: file for file in new_plan.inputs.files}
    sentences += [f"the input {path} is gone" for path in before.keys() - after.keys()]
    sentences += [f"the input {path} is new" for path in after.keys() - before.keys()]
    sentences += [
        f"{path} has changed" for path in before.keys() & after.keys() if before[path] != after[path]
    ]
    if not sentences and old_plan != new_plan:
        sentences.append("the inputs have another order")
    return sentences


def _flat(plan: Plan) -> dict[str, Any]:
    """Everything but the files."""
    own = {name: getattr(plan, name) for name in plan.__struct_fields__ if name != "inputs"}
    return own | {
        name: getattr(plan.inputs, name) for name in plan.inputs.__struct_fields__ if name != "files"
    }


def same_each_time(plan: Plan) -> bool:
    """Whether the plan identifies its inputs: standard input may be anything."""
    return plan.inputs.files[0].path != STANDARD_INPUT


def _clear(path: Path) -> None:
    for file in path.iterdir():
        if file.name != "lock":
            file.unlink()
