"""The float32 graph of a transformer's states, by an exporter of the table, and compared with PyTorch."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import compare
from embed_onnx_export.graph.attention import operators
from embed_onnx_export.graph.compare import Result
from embed_onnx_export.graph.exporters import optimum, torch_export, traced
from embed_onnx_export.graph.long_texts import attention

TOLERANCE = 1e-3
"""Of the largest state: float32 sums in another order stay far below it, even through deep models."""
WAY_OUT = "choose a model of another architecture"


class Exporter(msgspec.Struct, frozen=True, kw_only=True):
    """A way from a module of Sentence-Transformers to a graph.

    ``refusal`` says why it cannot export a module for texts of so many tokens, None if it can. ``write``
    writes the graph from token ids and a mask to float32 states, or raises an ``ExportError``.
    """

    name: str
    refusal: Callable[[Any, int], str | None]
    write: Callable[[Any, Path], None]


class States(msgspec.Struct, frozen=True):
    """How a graph was made: the exporter's name, and why the memory of attention is quadratic where it is."""

    exporter: str
    quadratic: str | None


EXPORTERS = (Exporter(name="torch", refusal=traced.refusal, write=torch_export.write),)
"""The best first; the first that can is used."""
BY_NAME = (Exporter(name="optimum", refusal=optimum.refusal, write=optimum.write),)
"""Those that are used only by their name."""


def write(module: Any, output: Path, *, max_tokens: int, exporter: str | None = None) -> States:
    """Write the graph of sentence-transformers' ``Transformer``: token ids and a mask to token states.

    ``exporter`` is a name of the two tables; None is the first that can.

    Raises:
        ExportError: No exporter can, or the graph does not compute what PyTorch does.
    """
    first = _exporter(module, max_tokens, exporter)
    first.write(module, output)
    return States(first.name, _in_blocks(module, output, max_tokens, compare.token_states))


def write_logits(module: Any, output: Path, *, max_tokens: int) -> States:
    """The same of a ``Transformer`` with a classifier: the one state of a text are its logits.

    Raises:
        ExportError: As of ``write``.
    """
    torch_exporter = _exporter(module, max_tokens, "torch")
    torch_export.write(module, output, compare.logits)
    return States(torch_exporter.name, _in_blocks(module, output, max_tokens, compare.logits))


def _in_blocks(module: Any, output: Path, max_tokens: int, result: Result) -> str | None:
    """Rewrite attention so that its memory grows with the text, and compare the graph.

    Says why its memory stays quadratic, if it does.
    """
    operators.rewrite(output, max_tokens)
    quadratic = attention.rewrite(output, max_tokens)
    _check(module.auto_model, output, max_tokens, result, in_blocks=quadratic is None)
    return quadratic


def _exporter(module: Any, max_tokens: int, name: str | None) -> Exporter:
    candidates = EXPORTERS if name is None else [one for one in (*EXPORTERS, *BY_NAME) if one.name == name]
    reasons = []
    for candidate in candidates:
        reason = candidate.refusal(module, max_tokens)
        if reason is None:
            return candidate
        reasons.append(reason)
    raise ExportError("; ".join(reasons))


def _check(model: Any, path: Path, max_tokens: int, result: Result, *, in_blocks: bool) -> None:
    """Compare the graph with PyTorch; ``in_blocks``: it keeps no scores of attention for long texts."""
    words = model.get_input_embeddings()
    padding_id = getattr(words, "padding_idx", None) or max(model.config.pad_token_id or 0, 0)
    rows = words.weight.shape[0]
    original = compare.of_pytorch(model, result)
    fault = compare.fault(path, original, compare.inputs(rows, padding_id, max_tokens), TOLERANCE)
    with _fused_attention(model) as fused:
        if not fault and in_blocks and fused:
            fault = compare.fault(path, original, compare.longest(rows, padding_id, max_tokens), TOLERANCE)
    if fault:
        raise ExportError(f"the graph of its architecture, {model.config.model_type}, {fault}; {WAY_OUT}")


@contextlib.contextmanager
def _fused_attention(model: Any) -> Iterator[bool]:
    """Let PyTorch compute attention without keeping its scores; whether the architecture can."""
    before = model.config._attn_implementation
    if getattr(model, "_supports_sdpa", False):
        model.set_attn_implementation("sdpa")
    try:
        yield model.config._attn_implementation == "sdpa"
    finally:
        model.set_attn_implementation(before)
