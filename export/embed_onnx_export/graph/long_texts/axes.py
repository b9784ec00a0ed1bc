"""Which axes of a graph's tensors follow the length of the text: seen by running it at two lengths.

Shapes in an exported graph are computed by the graph itself, step by step. They are known once it
has run, so two runs, of other numbers of texts and of tokens, distinguish an axis of tokens from any other.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime as ort

BATCHES, TOKENS = "batches", "tokens"
RUNS = ({BATCHES: 2, TOKENS: 17}, {BATCHES: 3, TOKENS: 29})
"""Primes, which no product of a model's own sizes gives in both runs."""

Axis = int | str
"""A size that is the same in both runs, ``BATCHES``, ``TOKENS``, or ``UNKNOWN``."""
UNKNOWN = "unknown"


class Tensor(msgspec.Struct, frozen=True):
    """The axes of one tensor, and the number of its type in ONNX."""

    axes: tuple[Axis, ...]
    kind: int

    @property
    def quadratic(self) -> bool:
        """Whether it grows with the square of the tokens."""
        return self.axes.count(TOKENS) > 1


def read(path: Path) -> dict[str, Tensor]:
    """The tensors that the nodes of a file give, by name; those of nested graphs are left out."""
    session = _session(path)
    first, second = (_arrays(session, **run) for run in RUNS)
    return {name: _tensor(array, second[name]) for name, array in first.items()}


def _session(path: Path) -> ort.InferenceSession:
    """A file, opened so that it gives all of its tensors."""
    model = onnx.load(path, load_external_data=False)
    outputs = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in _names(model) if name not in outputs)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # every tensor stays
    with NamedTemporaryFile(dir=path.parent, suffix=".onnx") as copy:  # beside its weights, if they are apart
        onnx.save(model, copy.name)
        return ort.InferenceSession(copy.name, options, providers=["CPUExecutionProvider"])


def _arrays(session: ort.InferenceSession, batches: int, tokens: int) -> dict[str, np.ndarray[Any, Any]]:
    """What every node gives for so many texts of so many tokens."""
    ids = np.ones((batches, tokens), np.int64)
    names = [output.name for output in session.get_outputs()]
    feeds = {argument.name: ids for argument in session.get_inputs()}
    return dict(zip(names, session.run(names, feeds), strict=True))


def _names(model: onnx.ModelProto) -> Iterator[str]:
    return (name for node in model.graph.node for name in node.output if name)


def _tensor(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> Tensor:
    kind = onnx.helper.np_dtype_to_tensor_dtype(first.dtype)
    if first.ndim != second.ndim:
        return Tensor(axes=(UNKNOWN,) * first.ndim, kind=kind)
    return Tensor(axes=tuple(map(_axis, first.shape, second.shape)), kind=kind)


def _axis(first: int, second: int) -> Axis:
    if first == second:
        return first
    return next((name for name in RUNS[0] if (first, second) == (RUNS[0][name], RUNS[1][name])), UNKNOWN)
