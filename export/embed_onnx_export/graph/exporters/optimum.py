"""The transformer as a float32 ONNX graph: optimum's export, simplified.

The graph takes what sentence-transformers gives the model: ``input_ids``, ``attention_mask``, and
``token_type_ids`` where the tokenizer makes them. All else, such as positions, the model derives itself, in
the graph as in PyTorch. So one description of inputs does for every architecture; of optimum's own ones, the
changes that they make to a model before it is traced are kept.
"""

import inspect
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from optimum.exporters.onnx import onnx_export_from_model
from optimum.exporters.onnx.config import OnnxConfig, TextEncoderOnnxConfig, TextSeq2SeqOnnxConfig
from optimum.exporters.tasks import TasksManager
from optimum.utils import NormalizedTextConfig

from embed_onnx.artifact.manifest import MODEL
from embed_onnx_export.errors import ExportError, is_exhausted
from embed_onnx_export.graph import optimize
from embed_onnx_export.graph.bert.functions import OPSET

TASK = "feature-extraction"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
AXES = {0: "batch", 1: "tokens"}


class _AnyEncoder(TextEncoderOnnxConfig):  # type: ignore[misc]  # optimum has no types
    """For architectures that optimum does not describe."""

    NORMALIZED_CONFIG_CLASS = NormalizedTextConfig


def refusal(module: Any, max_tokens: int) -> str | None:
    """Why a module cannot be exported for texts of so many tokens, by its config; None if it may be.

    Only what no comparison would find: texts too long to compare, or what depends on earlier texts.
    """
    config = module.auto_model.config
    if getattr(config, "attention_type", None) == "block_sparse":
        return (
            "its attention_type is block_sparse, which PyTorch gives up for good at the first short text; "
            'set it to "original_full" in config.json, which is the same attention without the gaps'
        )
    scaling = getattr(config, "rope_scaling", None) or {}
    kind = scaling.get("rope_type", scaling.get("type"))
    if kind not in ("dynamic", "longrope"):
        return None
    original = getattr(config, "original_max_position_embeddings", None) or config.max_position_embeddings
    if max_tokens <= original:
        return None
    return (
        f"its rope_scaling is {kind}, which changes with the length of a text beyond {original} tokens, "
        f"and its limit is {max_tokens}; set max_seq_length to {original} in sentence_bert_config.json"
    )


def write(module: Any, output: Path) -> None:
    """Write the graph of sentence-transformers' ``Transformer``: token ids and a mask to token states.

    Raises:
        ExportError: The model cannot be traced.
    """
    model = module.auto_model
    with TemporaryDirectory(dir=output.parent) as scratch:
        try:
            onnx_export_from_model(
                model,
                Path(scratch),
                task=TASK,
                opset=OPSET,
                custom_onnx_configs={"model": _description(module)},
                do_validation=False,  # what it computes is compared later, at more lengths
            )
            optimize.optimize(Path(scratch) / MODEL, output)
        except Exception as err:  # whatever a model's own code raises when it is traced
            if is_exhausted(err):
                raise
            raise ExportError(
                f"optimum fails on its architecture, {model.config.model_type} "
                f"({type(err).__name__}: {_first_line(err)}); choose a model of another architecture"
            ) from err


def _description(module: Any) -> OnnxConfig:
    """What optimum has to know of a model, with the inputs that it will get."""
    model = module.auto_model
    parameters = inspect.signature(model.forward).parameters
    names = [name for name in INPUTS if name in parameters and name in module.tokenizer.model_input_names]
    known = _known(model.config.model_type)

    class Description(known):  # type: ignore[misc, valid-type]
        inputs = property(lambda _: dict.fromkeys(names, AXES))
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


def _first_line(err: Exception) -> str:
    return str(err).strip().split("\n")[0].rstrip(".")[:200]
