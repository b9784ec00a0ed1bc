"""What a client can have done, and which kinds of output can do it."""

from typing import Any, Literal, get_args

from embed_onnx.artifact.manifest import Dense, Manifest
from embed_onnx.errors import InvalidRequest

Task = Literal["embed"]

KINDS: dict[Task, tuple[type[Any], ...]] = {"embed": (Dense,)}
"""Of each task, the kinds of ``Manifest.output`` that can do it."""


def check(task: Task, manifest: Manifest) -> None:
    """Refuse a task that a model cannot do.

    Raises:
        InvalidRequest: Its output is of another kind.
    """
    if isinstance(manifest.output, KINDS[task]):
        return
    kind = type(manifest.output).__struct_config__.tag
    tasks = ", ".join(known for known in get_args(Task) if isinstance(manifest.output, KINDS[known]))
    raise InvalidRequest(
        f"{manifest.name} is a model of kind {kind}, which does not do {task}, but "
        f"{tasks or 'nothing here'}; name another model",
        param="model",
    )
