"""What transformers whose graphs are written here score their vocabulary with, as masked language models."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from embed_onnx_export.graph.bert import families
from embed_onnx_export.graph.bert.families import Linear, Norm, UnknownFamily
from embed_onnx_export.graph.encoders import Encoder
from embed_onnx_export.graph.int8 import Floats
from embed_onnx_export.graph.modernbert import checkpoint as modernbert
from embed_onnx_export.graph.vocabulary_graph import VocabularyHead


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """Of the parameters: a product, a normalization, and the scores, whose weights may be those of the words.

    ``activation`` is the field of config.json that names it; None: it is gelu, whatever the config says.
    """

    transform: str
    norm: str
    weight: str
    bias: tuple[str, ...]
    activation: str | None = None


LM_HEAD = Names(
    transform="lm_head.dense",
    norm="lm_head.layer_norm",
    weight="lm_head.decoder.weight",
    bias=("lm_head.bias", "lm_head.decoder.bias"),
)
"""Of RoBERTa and those that follow it."""
NAMES = {
    "bert": Names(
        transform="cls.predictions.transform.dense",
        norm="cls.predictions.transform.LayerNorm",
        weight="cls.predictions.decoder.weight",
        bias=("cls.predictions.bias", "cls.predictions.decoder.bias"),
        activation="hidden_act",
    ),
    "camembert": LM_HEAD,
    "distilbert": Names(
        transform="vocab_transform",
        norm="vocab_layer_norm",
        weight="vocab_projector.weight",
        bias=("vocab_projector.bias",),
        activation="activation",
    ),
    "electra": Names(
        transform="generator_predictions.dense",
        norm="generator_predictions.LayerNorm",
        weight="generator_lm_head.weight",
        bias=("generator_lm_head.bias",),
    ),
    "modernbert": Names(
        transform="head.dense",
        norm="head.norm",
        weight="decoder.weight",
        bias=("decoder.bias",),
        activation="classifier_activation",
    ),
    "mpnet": LM_HEAD,
    "roberta": LM_HEAD,
    "xlm-roberta": LM_HEAD,
}
"""By ``model_type``, as the classes ``*ForMaskedLM`` of transformers 5.24 have them."""
WITHOUT_BIAS = ("modernbert",)
"""Whose product and normalization may have no bias."""


def read(config: dict[str, Any], arrays: dict[str, NDArray[Any]], encoder: Encoder) -> VocabularyHead:
    """The head of a masked language model whose encoder is known.

    Raises:
        UnknownFamily: A parameter is missing, is of another shape, or the activation is not known.
    """
    kind = config["model_type"]
    names, bare = NAMES[kind], kind in WITHOUT_BIAS
    named = config.get(names.activation, "gelu") if names.activation else "gelu"
    if named not in families.ACTIVATIONS:
        raise UnknownFamily(f"the activation of its scores is {named}")
    width = encoder.words.shape[1]
    transform = _linear(arrays, names.transform, bare=bare)
    normalized = transform.weight.shape[1]
    weight = arrays.get(names.weight, encoder.words)
    bias = next((arrays[name] for name in names.bias if name in arrays), None)
    if bias is None:
        raise UnknownFamily(f"it has no {names.bias[0]}, so it was not saved as a masked language model")
    head = VocabularyHead(
        transform=transform,
        norm=_norm(arrays, names.norm, bare=bare),
        scores=Linear(weight.T, bias),
        epsilon=_epsilon(config),
        activation=families.ACTIVATIONS[named],
    )
    shapes = {
        names.transform: (head.transform.weight.shape, (width, normalized)),
        names.norm: (head.norm.gamma.shape, (normalized,)),
        names.weight: (head.scores.weight.shape, (normalized, len(bias))),
    }
    for name, (shape, expected) in shapes.items():
        if shape != expected:
            raise UnknownFamily(f"its {name} is of the shape {shape}, and {expected} would fit its others")
    return head


def _epsilon(config: dict[str, Any]) -> float:
    if config["model_type"] == modernbert.MODEL_TYPE:
        return float((modernbert.DEFAULTS | config)["norm_eps"])
    return families.epsilon(config, families.family_of(config))


def _linear(arrays: dict[str, NDArray[Any]], name: str, *, bare: bool) -> Linear:
    weight = _parameter(arrays, f"{name}.weight")
    if weight.ndim != 2:
        raise UnknownFamily(f"its {name}.weight is of the shape {weight.shape}")
    return Linear(weight.T, _bias(arrays, name, len(weight), bare=bare))


def _norm(arrays: dict[str, NDArray[Any]], name: str, *, bare: bool) -> Norm:
    gamma = _parameter(arrays, f"{name}.weight", f"{name}.gamma")
    return Norm(gamma, _bias(arrays, name, len(gamma), bare=bare))


def _bias(arrays: dict[str, NDArray[Any]], name: str, size: int, *, bare: bool) -> Floats:
    names = (f"{name}.bias", f"{name}.beta")
    if bare and not any(each in arrays for each in names):
        return np.zeros(size, np.float32)
    return _parameter(arrays, *names)


def _parameter(arrays: dict[str, NDArray[Any]], *names: str) -> Floats:
    """The first of the names that is there; older checkpoints have others."""
    present = next((arrays[name] for name in names if name in arrays), None)
    if present is None:
        raise UnknownFamily(f"it has no {names[0]}, so it was not saved as a masked language model")
    return present
