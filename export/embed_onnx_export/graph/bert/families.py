"""BERT and its relatives: one encoder, whose parameters every family keeps under names of its own.

A family is a row of ``FAMILIES``: where its parameters are, and the few facts in which it differs from the
others. What is not wholly described by its row is not read as one of them.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import torch

from embed_onnx_export.graph.int8 import Floats

ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_accurate": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
"""The names of transformers, and ours."""


class UnknownFamily(Exception):
    """A model is not of the BERT family; the message says why."""


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """Names of modules, below ``layer`` where ``{}`` is a number; ``activation`` is a field of the config.

    ``after_padding``: positions begin after the padding id, which has the position of its number.
    ``distances``: the table of attention biases by distance.
    """

    layer: str = "encoder.layer.{}."
    query: str
    key: str
    value: str
    output: str
    attention_norm: str
    up: str = "intermediate.dense"
    down: str = "output.dense"
    output_norm: str = "output.LayerNorm"
    activation: str = "hidden_act"
    token_types: bool = False
    after_padding: bool = False
    distances: str | None = None


BERT = Family(
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    output="attention.output.dense",
    attention_norm="attention.output.LayerNorm",
    token_types=True,
)
ROBERTA = msgspec.structs.replace(BERT, after_padding=True)
DISTILBERT = Family(
    layer="transformer.layer.{}.",
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    output="attention.out_lin",
    attention_norm="sa_layer_norm",
    up="ffn.lin1",
    down="ffn.lin2",
    output_norm="output_layer_norm",
    activation="activation",
)
MPNET = Family(
    query="attention.attn.q",
    key="attention.attn.k",
    value="attention.attn.v",
    output="attention.attn.o",
    attention_norm="attention.LayerNorm",
    after_padding=True,
    distances="encoder.relative_attention_bias",
)
FAMILIES = {
    "bert": BERT,
    "camembert": ROBERTA,
    "distilbert": DISTILBERT,
    "mpnet": MPNET,
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
}
"""By ``model_type``."""


class Linear(msgspec.Struct, frozen=True):
    """weight [inputs, outputs], bias [outputs]."""

    weight: Floats
    bias: Floats


class Norm(msgspec.Struct, frozen=True):
    """gamma, beta [width]."""

    gamma: Floats
    beta: Floats


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of ``qkv`` [width, 3 * width] are all heads' queries, then all keys, then all values."""

    qkv: Linear
    output: Linear
    attention_norm: Norm
    up: Linear
    down: Linear
    output_norm: Norm


class Encoder(msgspec.Struct, frozen=True, kw_only=True):
    """All that an encoder computes with; ``activation`` is one of ours.

    words [vocabulary, width]; positions [positions, width], from the first that is used, with token type 0
    added; padding_position [width], the same of padding ids in a text, None where they are like other tokens;
    relative_bias [heads, 2 * positions - 1], by key - query + positions - 1.
    """

    words: Floats
    padding_id: int | None
    positions: Floats
    padding_position: Floats | None
    relative_bias: Floats | None
    norm: Norm
    layers: tuple[Layer, ...]
    num_heads: int
    epsilon: float
    activation: str


def read(model: Any) -> Encoder:
    """The encoder that a model of transformers is.

    Raises:
        UnknownFamily: It is not wholly described by a row of ``FAMILIES``.
    """
    family = _family(model.config)
    parameters = {name: _array(parameter) for name, parameter in model.named_parameters()}
    try:
        encoder = _read(model, family, parameters.pop)
    except KeyError as err:
        raise UnknownFamily(f"it has no {err.args[0]}") from None
    others = [name for name in parameters if not name.startswith("pooler.")]
    if others:
        raise UnknownFamily(f"it also has {others[0]}")
    _check_heads(encoder)
    return encoder


def _family(config: Any) -> Family:
    family = FAMILIES.get(config.model_type)
    if family is None:
        raise UnknownFamily(f"{config.model_type} is not of the BERT family")
    if config.is_decoder or config.add_cross_attention:
        raise UnknownFamily("it is a decoder")
    positions = getattr(config, "position_embedding_type", "absolute")
    if positions != "absolute":
        raise UnknownFamily(f"its positions are {positions}")
    activation = getattr(config, family.activation)
    if activation not in ACTIVATIONS:
        raise UnknownFamily(f"its activation is {activation}")
    return family


def _read(model: Any, family: Family, take: Callable[[str], Floats]) -> Encoder:
    """Take every parameter that the family names; a KeyError is one that is not there."""
    config, embeddings = model.config, model.embeddings
    padding_id = embeddings.word_embeddings.padding_idx
    positions = take("embeddings.position_embeddings.weight")
    if family.token_types:
        positions = positions + take("embeddings.token_type_embeddings.weight")[0]
    padding_position = None
    if family.after_padding:
        padding_position, positions = positions[padding_id], positions[padding_id + 1 :]
    if family.distances:
        take(f"{family.distances}.weight")
    return Encoder(
        words=take("embeddings.word_embeddings.weight"),
        padding_id=padding_id,
        positions=positions,
        padding_position=padding_position,
        relative_bias=_relative_bias(model, len(positions)) if family.distances else None,
        norm=_norm(take, "embeddings.LayerNorm"),
        layers=tuple(
            _layer(take, family, family.layer.format(number)) for number in range(config.num_hidden_layers)
        ),
        num_heads=config.num_attention_heads,
        epsilon=embeddings.LayerNorm.eps,
        activation=ACTIVATIONS[getattr(config, family.activation)],
    )


def _layer(take: Callable[[str], Floats], family: Family, prefix: str) -> Layer:
    parts = [_linear(take, prefix + name) for name in (family.query, family.key, family.value)]
    return Layer(
        qkv=Linear(
            np.concatenate([part.weight for part in parts], axis=1),
            np.concatenate([part.bias for part in parts]),
        ),
        output=_linear(take, prefix + family.output),
        attention_norm=_norm(take, prefix + family.attention_norm),
        up=_linear(take, prefix + family.up),
        down=_linear(take, prefix + family.down),
        output_norm=_norm(take, prefix + family.output_norm),
    )


def _linear(take: Callable[[str], Floats], name: str) -> Linear:
    return Linear(take(f"{name}.weight").T, take(f"{name}.bias"))


def _norm(take: Callable[[str], Floats], name: str) -> Norm:
    return Norm(take(f"{name}.weight"), take(f"{name}.bias"))


def _relative_bias(model: Any, positions: int) -> Floats:
    """The model's own bias of every pair of positions, of which each distance needs one."""
    with torch.no_grad():
        square = _array(model.encoder.compute_position_bias(torch.empty(1, positions)))[0]
    return np.concatenate([square[:, -1, :], square[:, 0, 1:]], axis=1)


def _array(tensor: torch.Tensor) -> Floats:
    return tensor.detach().to(torch.float32).numpy()


def _check_heads(encoder: Encoder) -> None:
    """Heads may have been pruned, in some layers more than in others."""
    width = encoder.words.shape[1]
    shapes = {layer.qkv.weight.shape for layer in encoder.layers}
    if shapes != {(width, 3 * width)} or width % encoder.num_heads:
        raise UnknownFamily(f"its layers are not of {encoder.num_heads} heads that make up {width}")
