"""The transformer as a float32 ONNX graph: PyTorch's own exporter, for any architecture of transformers."""

import contextlib
import io
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

import torch

from embed_onnx.artifact.manifest import MODEL
from embed_onnx_export.errors import ExportError, is_exhausted
from embed_onnx_export.graph import compare, optimize
from embed_onnx_export.graph.bert.functions import OPSET
from embed_onnx_export.graph.compare import Result
from embed_onnx_export.graph.exporters import traced

TEXTS, TOKENS = 2, 37
"""Of the example; the graph takes any number of either."""
FIRST_ID = 5
"""Of the example's token ids: those before it are often padding."""


class _States(torch.nn.Module):
    """A model as a function of tensors, without the names of its inputs and outputs."""

    def __init__(self, model: torch.nn.Module, names: list[str], result: Result) -> None:
        super().__init__()
        self.model = model
        self.names = names
        self.result = result

    def forward(self, *tensors: torch.Tensor) -> Any:
        """Token ids and what belongs to them, int64 [batch, tokens], to states [batch, tokens, width]."""
        return self.result(self.model(**dict(zip(self.names, tensors, strict=True))))


def write(module: Any, output: Path, result: Result = compare.token_states) -> None:
    """Write the graph of sentence-transformers' ``Transformer``: token ids and a mask to token states.

    ``result`` takes these out of what the model returns.

    Raises:
        ExportError: The model cannot be traced.
    """
    model, names = module.auto_model, traced.inputs(module)
    rows = model.get_input_embeddings().weight.shape[0]
    with TemporaryDirectory(dir=output.parent) as scratch:
        path = Path(scratch) / MODEL
        try:
            with torch.no_grad(), _quiet():
                _export(_States(model, names, result), names, rows, path)
                optimize.optimize(path, output)
        except Exception as err:  # whatever a model's own code raises when it is traced
            if is_exhausted(err):
                raise
            cause = err.__cause__ or err  # torch's own is advice in colours
            raise ExportError(
                f"torch.onnx fails on its architecture, {model.config.model_type} "
                f"({type(cause).__name__}: {traced.first_line(cause)}); choose another architecture"
            ) from err


def _export(model: _States, names: list[str], rows: int, path: Path) -> None:
    ids = torch.arange(FIRST_ID, FIRST_ID + TEXTS * TOKENS).reshape(TEXTS, TOKENS) % rows
    tensors = dict(zip(traced.INPUTS, (ids, torch.ones_like(ids), torch.zeros_like(ids)), strict=True))
    axes = dict.fromkeys((0, 1), torch.export.Dim.DYNAMIC)
    program = torch.onnx.export(
        model,
        tuple(tensors[name] for name in names),
        dynamo=True,
        verbose=False,
        opset_version=OPSET,
        dynamic_shapes=(tuple(axes for _ in names),),
        input_names=names,
        output_names=[traced.OUTPUT],
    )
    assert program is not None  # noqa: S101 - so it is of dynamo=True
    program.save(str(path), external_data=True)


class _WithoutThisThread(io.TextIOBase):
    """A stream that drops what the thread writes that made it; progress bars have another."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._thread = threading.get_ident()

    def write(self, text: str) -> int:
        """Write the text of another thread."""
        return len(text) if threading.get_ident() == self._thread else self._stream.write(text)

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the log lines, warnings and prints of the exporter, which are about its own workings."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(_WithoutThisThread(sys.stderr)),
        ):
            yield
    finally:
        logging.disable(disabled)
