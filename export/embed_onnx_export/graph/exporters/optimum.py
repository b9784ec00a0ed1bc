"""The transformer as a float32 ONNX graph: optimum's export, simplified, and compared with PyTorch.

The graph takes what sentence-transformers gives the model: ``input_ids``, ``attention_mask``, and
``token_type_ids`` where the tokenizer makes them. All else, such as positions, the model derives itself, in
the graph as in PyTorch. So one description of inputs does for every architecture; of optimum's own ones, the
changes that they make to a model before it is traced are kept.

A graph is traced with one short input, and what Python decided by its length is frozen into it. That is what
the comparison at other lengths is for: it passes an architecture, or refuses it, whatever its name.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from optimum.exporters.onnx import onnx_export_from_model
from optimum.exporters.onnx.config import OnnxConfig, TextEncoderOnnxConfig, TextSeq2SeqOnnxConfig
from optimum.exporters.tasks import TasksManager
from optimum.utils import NormalizedTextConfig

from embed_onnx.artifact.manifest import MODEL
from embed_onnx_export.errors import ExportError, is_exhausted
from embed_onnx_export.graph import onnx_file, optimize
from embed_onnx_export.graph.bert.functions import OPSET
from embed_onnx_export.graph.int8 import Floats
from embed_onnx_export.graph.long_texts import attention

TASK = "feature-extraction"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
AXES = {0: "batch", 1: "tokens"}
COMPARED_TOKENS = (1, 2, 7, 24, 128, 512, 1500)
"""The longest is beyond the windows of local attention that embedders use, and beyond the traced length."""
PADDED_TOKENS = 24
"""Of one more text, which holds padding ids: some models count positions by them."""
TOLERANCE = 1e-3
"""Of the largest state: float32 sums in another order stay far below it, even through deep models."""
WAY_OUT = "choose a model of another architecture"


class _AnyEncoder(TextEncoderOnnxConfig):  # type: ignore[misc]  # optimum has no types
    """For architectures that optimum does not describe."""

    NORMALIZED_CONFIG_CLASS = NormalizedTextConfig


def to_onnx(module: Any, output: Path, *, max_tokens: int) -> str | None:
    """Write the graph of sentence-transformers' ``Transformer``: token ids and a mask to token states.

    Says why the memory of its attention grows with the square of a text's tokens, where it does.

    Raises:
        ExportError: It cannot be exported, or what was exported is another model.
    """
    model = module.auto_model
    name = model.config.model_type
    _check_config(model.config, max_tokens)
    with TemporaryDirectory(dir=output.parent) as scratch:
        try:
            onnx_export_from_model(
                model,
                Path(scratch),
                task=TASK,
                opset=OPSET,
                custom_onnx_configs={"model": _description(module)},
                do_validation=False,  # done below, at more lengths
            )
            optimize.optimize(Path(scratch) / MODEL, output)
            quadratic = attention.rewrite(output, max_tokens)
        except Exception as err:  # whatever a model's own code raises when it is traced
            if is_exhausted(err):
                raise
            raise ExportError(
                f"optimum fails on its architecture, {name} "
                f"({type(err).__name__}: {_first_line(err)}); {WAY_OUT}"
            ) from err
    _compare(model, output, max_tokens)
    return quadratic


def _description(module: Any) -> OnnxConfig:
    """What optimum has to know of a model, the inputs being those that it will get."""
    model = module.auto_model
    taken = inspect.signature(model.forward).parameters
    made = [name for name in INPUTS if name in taken and name in module.tokenizer.model_input_names]
    known = _known(model.config.model_type)

    class Description(known):  # type: ignore[misc, valid-type]
        inputs = property(lambda _: dict.fromkeys(made, AXES))
        outputs = property(lambda _: {"last_hidden_state": AXES})

    return Description(model.config, task=TASK)


def _known(model_type: str) -> type[OnnxConfig]:
    """Optimum's own description of an architecture, if it is one of a single stack of layers."""
    try:
        known = TasksManager.get_exporter_config_constructor(
            "onnx", model_type=model_type, task=TASK, library_name="transformers"
        ).func
    except (KeyError, ValueError):
        return _AnyEncoder
    return _AnyEncoder if issubclass(known, TextSeq2SeqOnnxConfig) else known


def _check_config(config: Any, max_tokens: int) -> None:
    """Refuse what no comparison would find: lengths that are too long to compare, or what depends on history.

    Raises:
        ExportError: The config has such a setting.
    """
    if getattr(config, "attention_type", None) == "block_sparse":
        raise ExportError(
            "its attention_type is block_sparse, which PyTorch gives up for good at the first short text; "
            'set it to "original_full" in config.json, which is the same attention without the gaps'
        )
    scaling = getattr(config, "rope_scaling", None) or {}
    kind = scaling.get("rope_type", scaling.get("type"))
    if kind not in ("dynamic", "longrope"):
        return
    original = getattr(config, "original_max_position_embeddings", None) or config.max_position_embeddings
    if max_tokens > original:
        raise ExportError(
            f"its rope_scaling is {kind}, which changes with the length of a text beyond {original} tokens, "
            f"and its limit is {max_tokens}; set max_seq_length to {original} in sentence_bert_config.json"
        )


def _compare(model: Any, path: Path, max_tokens: int) -> None:
    """Compare states with PyTorch's, at lengths other than the traced one.

    Raises:
        ExportError: They are not the same.
    """
    graph = onnx_file.session(path)
    name = model.config.model_type
    for ids in _compared_ids(model, max_tokens):
        mask, length = np.ones_like(ids), ids.shape[1]
        try:
            actual = onnx_file.states(graph, ids, mask)
        except Exception as err:  # onnxruntime's exceptions share no base class
            raise ExportError(
                f"the graph of its architecture, {name}, fails for {length} tokens, because what PyTorch "
                f"computes for it depends on the length; {WAY_OUT}"
            ) from err
        expected = _torch_states(model, {"input_ids": ids, "attention_mask": mask})
        apart, largest = float(np.abs(actual - expected).max()), float(np.abs(expected).max())
        if not apart <= TOLERANCE * largest:  # so that NaN does not pass
            raise ExportError(
                f"the graph of its architecture, {name}, gives states of {length} tokens that are "
                f"{apart:.2g} from PyTorch's, and the limit is {TOLERANCE * largest:.2g}; {WAY_OUT}"
            )


def _compared_ids(model: Any, max_tokens: int) -> Iterator[NDArray[np.int64]]:
    """Ids other than padding, [1, length] for each length; then with padding ids, as a text may hold them."""
    words = model.get_input_embeddings()
    padding_id = getattr(words, "padding_idx", None) or max(model.config.pad_token_id or 0, 0)
    ids = np.delete(np.arange(words.weight.shape[0]), padding_id)
    for length in sorted({min(length, max_tokens) for length in COMPARED_TOKENS}):
        yield np.random.default_rng(length).choice(ids, (1, length))
    written = np.random.default_rng(0).choice(ids, (1, min(PADDED_TOKENS, max_tokens)))
    written[:, ::3] = padding_id
    yield written


def _torch_states(model: Any, given: dict[str, NDArray[np.int64]]) -> Floats:
    taken = inspect.signature(model.forward).parameters
    with torch.no_grad():
        output = model(**{name: torch.tensor(array) for name, array in given.items() if name in taken})
    states: Floats = output.last_hidden_state.to(torch.float32).numpy()
    return states


def _first_line(err: Exception) -> str:
    return str(err).strip().split("\n")[0].rstrip(".")[:200]
