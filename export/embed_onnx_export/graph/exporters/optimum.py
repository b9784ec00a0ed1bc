"""The transformer as a float32 ONNX graph: optimum's export, simplified.

Optimum-onnx needs transformers 4.57, and is installed in an environment of its own (the extra ``optimum``):
nothing of it is imported until it is the exporter by name. Of optimum's own descriptions of inputs, the
changes that they make to a model before it is traced are kept.
"""

import importlib.util
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from embed_onnx import install
from embed_onnx.artifact.manifest import MODEL
from embed_onnx_export.errors import ExportError, is_exhausted
from embed_onnx_export.graph import optimize
from embed_onnx_export.graph.bert.functions import OPSET
from embed_onnx_export.graph.exporters import traced

TASK = "feature-extraction"
AXES = {0: "batch", 1: "tokens"}


def refusal(module: Any, max_tokens: int) -> str | None:
    """Why a module cannot be exported for texts of so many tokens; None if it may be."""
    if not is_installed():
        return (
            "optimum-onnx is not installed, and cannot be in one environment with the extra export; install "
            f"{install.requirement('optimum')} in an environment of its own, or choose another exporter"
        )
    return traced.refusal(module, max_tokens)


def is_installed() -> bool:
    """Whether optimum-onnx is there; optimum alone has no exporter since 2.0."""
    try:
        return importlib.util.find_spec("optimum.exporters.onnx") is not None
    except ModuleNotFoundError:
        return False


def write(module: Any, output: Path) -> None:
    """Write the graph of sentence-transformers' ``Transformer``: token ids and a mask to token states.

    Raises:
        ExportError: The model cannot be traced.
    """
    from optimum.exporters.onnx import onnx_export_from_model  # noqa: PLC0415 - only where it is chosen

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
                f"({type(err).__name__}: {traced.first_line(err)}); choose a model of another architecture"
            ) from err


def _description(module: Any) -> Any:
    """What optimum has to know of a model, with the inputs that it will get."""
    model = module.auto_model
    names = traced.inputs(module)

    class Description(_known(model.config.model_type)):  # type: ignore[misc]  # optimum has no types
        inputs = property(lambda _: dict.fromkeys(names, AXES))
        outputs = property(lambda _: {traced.OUTPUT: AXES})

    return Description(model.config, task=TASK)


def _known(model_type: str) -> Any:
    """Optimum's own description of an architecture, if it is one of a single stack of layers."""
    from optimum.exporters.onnx.config import TextEncoderOnnxConfig, TextSeq2SeqOnnxConfig  # noqa: PLC0415
    from optimum.exporters.tasks import TasksManager  # noqa: PLC0415
    from optimum.utils import NormalizedTextConfig  # noqa: PLC0415

    class AnyEncoder(TextEncoderOnnxConfig):  # type: ignore[misc]  # optimum has no types
        """For architectures that optimum does not describe."""

        NORMALIZED_CONFIG_CLASS = NormalizedTextConfig

    try:
        known = TasksManager.get_exporter_config_constructor(
            "onnx", model_type=model_type, task=TASK, library_name="transformers"
        ).func
    except (KeyError, ValueError):
        return AnyEncoder
    return AnyEncoder if issubclass(known, TextSeq2SeqOnnxConfig) else known
