"""A ModernBERT as its config and parameters describe it; what they do not wholly describe is refused.

Source: transformers' ``modeling_modernbert`` (5.24), whose names these are.
"""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from embed_onnx_export.graph.bert import families
from embed_onnx_export.graph.bert.families import ACTIVATIONS, Linear, Linears, Norm, UnknownFamily
from embed_onnx_export.graph.int8 import Floats

MODEL_TYPE = "modernbert"
CLASS = "ModernBertModel"
PREFIX = "model."
"""Before the names of parameters where the model was saved as a part of another."""
HEADS = ("head.", "decoder.", "classifier.")
"""Parameters of what comes after last_hidden_state."""
GLOBAL, LOCAL = "full_attention", "sliding_attention"
OLD_BASES = {GLOBAL: "global_rope_theta", LOCAL: "local_rope_theta"}
"""Where configs before transformers 5 have the bases of the angles."""
DEFAULT_BASES = {GLOBAL: 160_000.0, LOCAL: 10_000.0}
DEFAULTS: dict[str, Any] = {
    "global_attn_every_n_layers": 3,
    "hidden_activation": "gelu",
    "local_attention": 128,
    "max_position_embeddings": 8192,
    "norm_eps": 1e-5,
    "num_attention_heads": 12,
    "num_hidden_layers": 22,
    "pad_token_id": 50283,
}
"""Where the config says nothing."""
NO_EFFECT = families.NO_EFFECT | {
    # A note that some checkpoints have; positions are rotated whatever it says.
    "position_embedding_type",
    # Of training, and of heads.
    "classifier_activation", "classifier_bias", "classifier_pooling", "decoder_bias", "embedding_dropout",
    "initializer_cutoff_factor", "mlp_dropout", "sparse_pred_ignore_index", "sparse_prediction",
    # How states are computed, not which; whether biases were saved, which the parameters show; and another
    # name of norm_eps, which is not read.
    "attention_bias", "deterministic_flash_attn", "layer_norm_eps", "mlp_bias", "norm_bias",
    "reference_compile", "repad_logits_with_grad",
}  # fmt: skip
"""Fields of configs on which last_hidden_state does not depend."""


class Layer(Linears, frozen=True, kw_only=True):
    """``norm`` is of what qkv takes, None where it takes the states as they are; the other of what up takes.

    The columns of ``up`` [width, 2 * inner] are what the activation takes, then what its result is multiplied
    by. A token sees those of at most ``window`` positions before and after it.
    """

    norm: Norm | None
    attention_norm: Norm
    kind: str
    window: int


class Angles(msgspec.Struct, frozen=True):
    """Of each position and pair of channels, float32 [positions, head size / 2]."""

    cosines: Floats
    sines: Floats


class ModernBert(msgspec.Struct, frozen=True, kw_only=True):
    """All that an encoder computes with. words [vocabulary, width]; ``angles`` by the kind of layer."""

    words: Floats
    padding_id: int | None
    positions: int
    norm: Norm
    layers: tuple[Layer, ...]
    final_norm: Norm
    angles: dict[str, Angles]
    num_heads: int
    epsilon: float
    activation: str


def read(config: dict[str, Any], arrays: dict[str, NDArray[Any]], *, strict: bool = True) -> ModernBert:
    """The encoder that a config and the parameters of its file are.

    ``strict`` refuses fields of the config that are not known; without, a comparison has to show that they
    change nothing.

    Raises:
        UnknownFamily: It has what is not read.
    """
    _check_config(config, strict=strict)
    parameters = {
        name.removeprefix(PREFIX): array for name, array in arrays.items() if not name.startswith(HEADS)
    }
    try:
        encoder = _read(DEFAULTS | config, parameters)
    except KeyError as err:
        raise UnknownFamily(f"it has no {err.args[0]}") from None
    if parameters:
        raise UnknownFamily(f"it also has {next(iter(parameters))}")
    _check_sizes(config, encoder)
    return encoder


def _check_config(config: dict[str, Any], *, strict: bool) -> None:
    _check_rope(config)
    if config.get("rope_scaling"):
        raise UnknownFamily("its positions are scaled")
    activation = config.get("hidden_activation", "gelu")
    if activation not in ACTIVATIONS:
        raise UnknownFamily(f"its activation is {activation}")
    read_fields = {
        "model_type", "vocab_size", "hidden_size", "intermediate_size", "layer_types", "rope_parameters",
        "rope_scaling", *OLD_BASES.values(), *DEFAULTS,
    }  # fmt: skip
    unknown = sorted(config.keys() - read_fields - NO_EFFECT)
    if strict and unknown:
        raise UnknownFamily(f"its config.json has {unknown[0]}, of which it is not known what it changes")


def _check_rope(config: dict[str, Any]) -> None:
    others = sorted((config.get("rope_parameters") or {}).keys() - {GLOBAL, LOCAL})
    for kind in (GLOBAL, LOCAL):
        rope = _rope(config, kind)
        for name in ("rope_type", "type"):  # newer and older
            if rope.get(name, "default") != "default":
                raise UnknownFamily(f"its positions are of the type {rope[name]}")
        if not _base(config, kind):
            raise UnknownFamily(f"its {OLD_BASES[kind]} is {config.get(OLD_BASES[kind])}")
        others += sorted(rope.keys() - {"rope_type", "type", "rope_theta"})
    if others:
        raise UnknownFamily(f"its rope_parameters have {others[0]}, of which it is not known what it changes")


def _check_sizes(config: dict[str, Any], encoder: "ModernBert") -> None:
    """Refuse arrays of other shapes than the config says."""
    inner = {layer.down.weight.shape[0] for layer in encoder.layers}
    vocabulary, width = encoder.words.shape
    sizes: dict[str, set[int]] = {
        "vocab_size": {vocabulary},
        "hidden_size": {width},
        "intermediate_size": inner,
    }
    for name, actual in sizes.items():
        others = actual - {config[name]} if name in config else set()
        if others:
            raise UnknownFamily(f"its {name} is {config[name]}, and its parameters have {min(others)}")


def _rope(config: dict[str, Any], kind: str) -> dict[str, Any]:
    parameters: dict[str, Any] = (config.get("rope_parameters") or {}).get(kind) or {}
    return parameters


def _base(config: dict[str, Any], kind: str) -> float | None:
    base: float | None = _rope(config, kind).get("rope_theta")
    return base or config.get(OLD_BASES[kind], DEFAULT_BASES[kind])


def _read(config: dict[str, Any], parameters: dict[str, NDArray[Any]]) -> ModernBert:
    """Take every parameter; a KeyError is one that is not there."""
    words, count = parameters.pop("embeddings.tok_embeddings.weight"), config["num_hidden_layers"]
    width, heads = words.shape[1], config["num_attention_heads"]
    if width % (2 * heads):
        raise UnknownFamily(f"its width, {width}, is not of {heads} heads with an even number of channels")
    kinds = config.get("layer_types") or [
        LOCAL if number % config["global_attn_every_n_layers"] else GLOBAL for number in range(count)
    ]
    if len(kinds) != count or not {GLOBAL, LOCAL}.issuperset(kinds):
        raise UnknownFamily(f"its layer_types are not {count} of {GLOBAL} and {LOCAL}")
    if config["local_attention"] < 0:
        raise UnknownFamily(f"its local_attention is {config['local_attention']}")
    positions = config["max_position_embeddings"]
    windows = {GLOBAL: positions, LOCAL: config["local_attention"] // 2}
    return ModernBert(
        words=words,
        padding_id=config["pad_token_id"],
        positions=positions,
        norm=_norm(parameters, "embeddings.norm"),
        layers=tuple(_layer(parameters, number, kind, windows[kind]) for number, kind in enumerate(kinds)),
        final_norm=_norm(parameters, "final_norm"),
        angles={kind: _angles(config, kind, positions, width // heads) for kind in sorted(set(kinds))},
        num_heads=heads,
        epsilon=config["norm_eps"],
        activation=ACTIVATIONS[config["hidden_activation"]],
    )


def _layer(parameters: dict[str, NDArray[Any]], number: int, kind: str, window: int) -> Layer:
    prefix = f"layers.{number}."
    return Layer(
        norm=_norm(parameters, f"{prefix}attn_norm") if number else None,
        qkv=_linear(parameters, f"{prefix}attn.Wqkv"),
        output=_linear(parameters, f"{prefix}attn.Wo"),
        attention_norm=_norm(parameters, f"{prefix}mlp_norm"),
        up=_linear(parameters, f"{prefix}mlp.Wi"),
        down=_linear(parameters, f"{prefix}mlp.Wo"),
        kind=kind,
        window=window,
    )


def _linear(parameters: dict[str, NDArray[Any]], name: str) -> Linear:
    weight = parameters.pop(f"{name}.weight").T
    return Linear(weight, _bias(parameters, name, weight.shape[1]))


def _norm(parameters: dict[str, NDArray[Any]], name: str) -> Norm:
    gamma = parameters.pop(f"{name}.weight")
    return Norm(gamma, _bias(parameters, name, len(gamma)))


def _bias(parameters: dict[str, NDArray[Any]], name: str, size: int) -> Floats:
    """Zeros where the model was made without biases."""
    return parameters.pop(f"{name}.bias", np.zeros(size, np.float32))


def _angles(config: dict[str, Any], kind: str, positions: int, head_size: int) -> Angles:
    """Position times base^(-2i / head size) for the i-th pair, in float32 as the original computes it."""
    base = _base(config, kind)
    exponents = np.arange(0, head_size, 2, dtype=np.float32) / np.float32(head_size)
    frequencies = np.float32(1) / np.power(np.float32(base), exponents)
    angles = np.arange(positions, dtype=np.float32)[:, None] * frequencies
    return Angles(np.cos(angles), np.sin(angles))
