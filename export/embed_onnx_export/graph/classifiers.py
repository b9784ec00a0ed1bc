"""What transformers whose graphs are written here score texts with: from a pooled state to the logits."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from embed_onnx.artifact.outputs import PoolingMode
from embed_onnx_export.graph.bert.families import UnknownFamily
from embed_onnx_export.graph.head_graph import NORM_EPSILON, Dense, LayerNorm, Step
from embed_onnx_export.graph.modernbert import checkpoint as modernbert

TWO_LAYERS = (("classifier.dense", "Tanh"), ("classifier.out_proj", "Identity"))
"""Of RoBERTa and those that follow it."""
LAYERS: dict[str, tuple[tuple[str, str], ...]] = {
    "bert": (("bert.pooler.dense", "Tanh"), ("classifier", "Identity")),
    "camembert": TWO_LAYERS,
    "distilbert": (("pre_classifier", "ReLU"), ("classifier", "Identity")),
    "electra": (("classifier.dense", "GELU"), ("classifier.out_proj", "Identity")),
    "mpnet": TWO_LAYERS,
    "roberta": TWO_LAYERS,
    "xlm-roberta": TWO_LAYERS,
}
"""By ``model_type`` of BERT's family, the names of a classifier's layers, and what each ends with."""
MODERNBERT_ACTIVATIONS = {"gelu": "GELU", "relu": "ReLU", "silu": "SiLU", "tanh": "Tanh"}
"""Names of transformers, and those of torch.nn."""
MODERNBERT_POOLING: tuple[PoolingMode, ...] = ("cls", "mean")


class Classifier(msgspec.Struct, frozen=True):
    """How states are pooled, and the steps from there to the logits."""

    pooling: PoolingMode
    steps: tuple[Step, ...]

    @property
    def labels(self) -> int:
        """The number of logits."""
        last = self.steps[-1]
        assert isinstance(last, Dense)  # noqa: S101 - as every classifier ends
        return len(last.weight)


def read(config: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Classifier:
    """The classifier of a model whose encoder is known.

    Raises:
        UnknownFamily: A parameter is missing, is of another shape than its layer, or a setting is not known.
    """
    if config["model_type"] == modernbert.MODEL_TYPE:
        return _modernbert(modernbert.DEFAULTS | config, arrays)
    width, steps = None, []
    for name, activation in LAYERS[config["model_type"]]:
        step = _layer(arrays, name, activation)
        if width not in (None, step.weight.shape[1]):
            raise UnknownFamily(
                f"its {name} is of the shape {step.weight.shape}, which does not fit its classifier"
            )
        steps.append(step)
        width = len(step.weight)
    return Classifier("cls", tuple(steps))


def _modernbert(config: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Classifier:
    """Source: ``ModernBertPredictionHead`` and the class that uses it in transformers 5.24."""
    pooling, activation = config.get("classifier_pooling", "cls"), config.get("classifier_activation", "gelu")
    if pooling not in MODERNBERT_POOLING or activation not in MODERNBERT_ACTIVATIONS:
        raise UnknownFamily(f"its classifier pools by {pooling}, and its activation is {activation}")
    if config["norm_eps"] != NORM_EPSILON:
        raise UnknownFamily(f"its norm_eps is {config['norm_eps']}")
    dense = _layer(arrays, "head.dense", MODERNBERT_ACTIVATIONS[activation], bias=False)
    gamma = arrays.get("head.norm.weight")
    if gamma is None or gamma.shape != (len(dense.weight),):
        raise UnknownFamily("its head.norm.weight is missing, or does not fit its classifier")
    norm = LayerNorm(gamma, arrays.get("head.norm.bias", np.zeros_like(gamma)))
    return Classifier(pooling, (dense, norm, _layer(arrays, "classifier", "Identity")))


def _layer(arrays: dict[str, NDArray[Any]], name: str, activation: str, *, bias: bool = True) -> Dense:
    """A layer by its name; without ``bias``, it need not have one."""
    try:
        weight = arrays[f"{name}.weight"]
        added = arrays[f"{name}.bias"] if bias else arrays.get(f"{name}.bias")
    except KeyError as err:
        raise UnknownFamily(f"it has no {err.args[0]}") from None
    if weight.ndim != 2 or (added is not None and added.shape != weight.shape[:1]):
        raise UnknownFamily(f"its {name} is of the shape {weight.shape}, which does not fit its classifier")
    return Dense(weight=weight, bias=added, activation=activation)
