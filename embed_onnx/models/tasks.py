"""What a client can have done, and which models can do it, by what comes out of them."""

from collections.abc import Callable, Iterable
from typing import Literal

from embed_onnx.artifact.manifest import Manifest
from embed_onnx.artifact.outputs import Dense, Output, Scores, Sparse, TokenVectors
from embed_onnx.errors import TaskNotSupported

Task = Literal["embed", "embed_sparse", "embed_tokens", "rerank", "classify"]

CAN: dict[Task, Callable[[Output], bool]] = {
    "embed": lambda output: isinstance(output, Dense),
    "embed_sparse": lambda output: isinstance(output, Sparse),
    "embed_tokens": lambda output: isinstance(output, TokenVectors),
    "rerank": lambda output: (
        isinstance(output, TokenVectors)
        or (isinstance(output, Scores) and output.pairs and len(output.labels) == 1)
    ),
    "classify": lambda output: isinstance(output, Scores),
}
"""Of each task, whether a kind of ``Manifest.output`` can do it. A rank takes one number a document."""


def of(output: Output) -> list[Task]:
    """What a model with such an output can do."""
    return [task for task, can in CAN.items() if can(output)]


def first(task: Task, served: Iterable[Manifest]) -> Manifest:
    """The first of the served models that can do a task.

    Raises:
        TaskNotSupported: None of them can.
    """
    able = next((manifest for manifest in served if CAN[task](manifest.output)), None)
    if able is None:
        raise TaskNotSupported(
            f"no model that is served here does {task}; serve one that does", param="model"
        )
    return able


def check(task: Task, manifest: Manifest, served: Iterable[Manifest] = ()) -> None:
    """Refuse a task that a model cannot do, and name those of the served ones that can.

    Raises:
        TaskNotSupported: Its output is of another kind.
    """
    if CAN[task](manifest.output):
        return
    able = ", ".join(other.name for other in served if CAN[task](other.output))
    way_out = f"name one that does: {able}" if able else "name another model, or serve one that does"
    raise TaskNotSupported(
        f"{manifest.name} is a model for {', '.join(of(manifest.output))} and does not {task}; {way_out}",
        param="model",
    )
