"""The model of a run, by its name and by what it is to do; no other is loaded."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from embed_onnx.artifact import manifest
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.errors import SetupError
from embed_onnx.models import registry, tasks
from embed_onnx.models.model import Model
from embed_onnx.models.options import Options
from embed_onnx.models.tasks import Task
from embed_onnx.settings import Settings

COMMANDS: dict[Task, str] = {
    "embed": "`embed-onnx embed` without --sparse and --token-vectors",
    "embed_sparse": "`embed-onnx embed --sparse`",
    "embed_tokens": "`embed-onnx embed --token-vectors`",
    "rerank": "`embed-onnx score`",
    "classify": "`embed-onnx score`",
}
"""What runs each task on files."""


@contextlib.contextmanager
def engine(
    settings: Settings, name: str | None, task: Task, prompt_name: str | None = None
) -> Iterator[tuple[Model, Options, int]]:
    """The model of a name, loaded alone, the options of its texts, and the number of its lanes.

    Without a name it is the first that can do the task; without a ``prompt_name``, the name may have one.

    Raises:
        SetupError: Its artifact is not there, or the model cannot do the task.
    """
    settings = msgspec.structs.replace(settings, queue_tokens=sys.maxsize)
    entries = _entries(registry.entries_to_serve(settings), name, task, settings.artifacts)
    with registry.Registry(entries, settings) as models:
        models.load()
        with models.use(name, task) as (model, prompt_of_name):
            options = Options(
                prompt_name=prompt_of_name if prompt_name is None else prompt_name,
                truncate=settings.truncate,
                long_texts=settings.long_texts,
            )
            yield model, options, models.scheduler.lanes


def _entries(entries: list[Entry], name: str | None, task: Task, artifacts: Path) -> list[Entry]:
    """The entry of that name, so that no other is loaded; all, if none has it.

    Raises:
        SetupError: Its model cannot do the task.
    """
    if name is None:
        entry = next((entry for entry in entries if _can(artifacts / entry.name, task)), entries[0])
        _check_task(artifacts / entry.name, task)
        return [entry]
    for variant in (name, name.rpartition(":")[0]):
        matches = [entry for entry in entries if variant in (entry.name, *entry.aliases)]
        matches = matches or [entry for entry in entries if variant in entry.names()]
        if matches:
            _check_task(artifacts / matches[0].name, task)
            return matches[:1]
    return entries


def _can(folder: Path, task: Task) -> bool:
    """Whether an artifact is there and can do a task."""
    return (folder / manifest.MANIFEST).exists() and tasks.CAN[task](manifest.read(folder).output)


def _check_task(folder: Path, task: Task) -> None:
    """Refuse a model of another kind before it is loaded, and name the command for it.

    Raises:
        SetupError: It cannot do the task.
    """
    if not (folder / manifest.MANIFEST).exists():
        return
    able = tasks.of(manifest.read(folder).output)
    if task in able:
        return
    raise SetupError(
        f"{folder.name} is a model for {', '.join(able)} and does not {task}; {COMMANDS[able[0]]} is for it, "
        "or name another --model"
    )
