"""BERT and its relatives: one encoder, whose parameters every family keeps under names of its own.

A family is a row of ``FAMILIES``: where its parameters are, and the few facts in which it differs from the
others. What is not wholly described by its row is not read as one of them. It is read from what config.json
says and from named arrays.
"""

import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

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
    """Names of modules, below ``layer`` where ``{}`` is a number, and of fields of the config.

    ``name`` is that of the class in transformers. ``prefix`` stands before the names of parameters where the
    model was saved as a part of another. ``padding_id`` is where the config has none.
    ``after_padding``: positions begin after the padding id, which has the position of its number.
    ``distances``: the table of attention biases by distance.
    """

    name: str
    prefix: str
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
    num_heads: str = "num_attention_heads"
    num_layers: str = "num_hidden_layers"
    default_layers: int = 12
    default_heads: int = 12
    width: str = "hidden_size"
    inner: str = "intermediate_size"
    padding_id: int = 0
    token_types: bool = False
    after_padding: bool = False
    distances: str | None = None


BERT = Family(
    name="BertModel",
    prefix="bert.",
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    output="attention.output.dense",
    attention_norm="attention.output.LayerNorm",
    token_types=True,
)
ROBERTA = msgspec.structs.replace(
    BERT, name="RobertaModel", prefix="roberta.", after_padding=True, padding_id=1
)
DISTILBERT = Family(
    name="DistilBertModel",
    prefix="distilbert.",
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
    num_heads="n_heads",
    num_layers="n_layers",
    default_layers=6,
    width="dim",
    inner="hidden_dim",
)
MPNET = Family(
    name="MPNetModel",
    prefix="mpnet.",
    query="attention.attn.q",
    key="attention.attn.k",
    value="attention.attn.v",
    output="attention.attn.o",
    attention_norm="attention.LayerNorm",
    after_padding=True,
    padding_id=1,
    distances="encoder.relative_attention_bias",
)
FAMILIES = {
    "bert": BERT,
    "camembert": msgspec.structs.replace(ROBERTA, name="CamembertModel"),
    "distilbert": DISTILBERT,
    "electra": msgspec.structs.replace(BERT, name="ElectraModel", prefix="electra.", default_heads=4),
    "mpnet": MPNET,
    "roberta": ROBERTA,
    "xlm-roberta": msgspec.structs.replace(ROBERTA, name="XLMRobertaModel"),
}
"""By ``model_type``."""
DEFAULTS = {"layer_norm_eps": 1e-12, "max_position_embeddings": 512}
"""Of every family, where the config says nothing. DistilBERT always has this epsilon."""
NO_EFFECT = {
    # Notes on how a model was made and saved.
    "_name_or_path", "architectures", "dtype", "finetuning_task", "gradient_checkpointing",
    "initializer_factor", "initializer_range", "language", "model_max_length", "name", "name_or_path",
    "output_past", "sbert_ce_default_activation_function", "sentence_transformers",
    "tokenizer_class", "torch_dtype", "transformers.js_config",
    "transformers_version", "matryoshka_dimensions",
    # Of training.
    "attention_dropout", "attention_probs_dropout_prob", "classifier_dropout", "dropout",
    "hidden_dropout_prob", "problem_type", "qa_dropout", "seq_classif_dropout",
    # Of heads, and of what is generated with them.
    "bos_token_id", "classifier_dropout_prob", "cls_token_id", "decoder_start_token_id", "directionality",
    "eos_token_id", "id2label", "label2id", "mask_token_id", "num_labels", "pooler_fc_size",
    "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type",
    "prefix", "sep_token_id", "summary_activation", "summary_last_dropout", "summary_type",
    "summary_use_proj", "task_specific_params", "tie_word_embeddings",
    # How states are computed, not which: caches, chunks, kernels of attention, and the table of DistilBERT,
    # which is saved with its values.
    "_attn_implementation", "_attn_implementation_autoset", "attn_implementation", "chunk_size_feed_forward",
    "output_attentions", "output_hidden_states", "return_dict", "sinusoidal_pos_embds", "torchscript",
    "use_cache",
}  # fmt: skip
"""Fields of configs on which last_hidden_state does not depend."""
FIXED = {
    "add_cross_attention": (False,),
    "auto_map": ({},),
    "is_decoder": (False,),
    "is_encoder_decoder": (False,),
    "position_embedding_type": ("absolute",),
    "pruned_heads": ({},),
    "relative_attention_num_buckets": (32,),
}
"""Fields that would change it, and the values that are read."""
HEADS = (
    "pooler.", "cls.", "lm_head.", "classifier.", "qa_outputs.", "discriminator_predictions.",
    "generator_predictions.", "generator_lm_head.", "pre_classifier.", "vocab_transform.",
    "vocab_layer_norm.", "vocab_projector.",
)  # fmt: skip
"""Parameters of what comes after last_hidden_state."""
BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
"""Arrays that were saved and are no parameters."""
OLD_NAMES = {".gamma": ".weight", ".beta": ".bias"}
"""How checkpoints of TensorFlow's names end."""
BUCKETS, MAX_DISTANCE = 32, 128
"""Of MPNet's distances: transformers has these numbers in its code."""


class Linear(msgspec.Struct, frozen=True):
    """weight [inputs, outputs], bias [outputs]."""

    weight: Floats
    bias: Floats


class Norm(msgspec.Struct, frozen=True):
    """gamma, beta [width]."""

    gamma: Floats
    beta: Floats


class Linears(msgspec.Struct, frozen=True, kw_only=True):
    """The four of a layer; columns of ``qkv`` are all heads' queries, then all keys, then all values."""

    qkv: Linear
    output: Linear
    up: Linear
    down: Linear


class Layer(Linears, frozen=True, kw_only=True):
    """With the normalizations after the second and the last."""

    attention_norm: Norm
    output_norm: Norm


class Encoder(msgspec.Struct, frozen=True, kw_only=True):
    """All that an encoder computes with; ``activation`` is one of ours.

    words [vocabulary, width]; positions [positions, width], from the first that is used, with token type 0
    added; second_positions, the same with token type 1, where second texts of pairs have that;
    padding_position [width], the same of padding ids in a text, None where they are like other tokens;
    relative_bias [heads, 2 * positions - 1], by key - query + positions - 1.
    """

    words: Floats
    padding_id: int | None
    positions: Floats
    second_positions: Floats | None = None
    padding_position: Floats | None
    relative_bias: Floats | None
    norm: Norm
    layers: tuple[Layer, ...]
    num_heads: int
    epsilon: float
    activation: str


def read(
    config: dict[str, Any], arrays: dict[str, NDArray[Any]], *, strict: bool = True, types: bool = False
) -> Encoder:
    """The encoder that a config and the parameters of its file are.

    ``strict`` refuses fields of the config that are not known; without, a comparison has to show that they
    change nothing. ``types``: second texts of pairs have tokens of type 1, where the family has types.

    Raises:
        UnknownFamily: It is not wholly described by a row of ``FAMILIES``.
    """
    family = family_of(config)
    _check_config(config, family, strict=strict)
    parameters = _parameters(arrays, family)
    try:
        encoder = _read(config, family, parameters.pop, types=types)
    except KeyError as err:
        raise UnknownFamily(f"it has no {err.args[0]}") from None
    others = [name for name in parameters if not name.startswith(HEADS) and name not in BUFFERS]
    if others:
        raise UnknownFamily(f"it also has {others[0]}")
    _check_shapes(config, family, encoder)
    return encoder


def family_of(config: dict[str, Any]) -> Family:
    """The family that a config names.

    Raises:
        UnknownFamily: It is another one.
    """
    family = FAMILIES.get(config.get("model_type", ""))
    if family is None:
        raise UnknownFamily(f"{config.get('model_type')} is not of the BERT family")
    return family


def max_positions(config: dict[str, Any], encoder: Encoder) -> int:
    """How many tokens have positions: those of the table, or fewer if the config says so."""
    declared = int(config.get("max_position_embeddings", DEFAULTS["max_position_embeddings"]))
    before = 0 if encoder.padding_position is None else (encoder.padding_id or 0) + 1
    return min(len(encoder.positions), declared - before)


def _check_config(config: dict[str, Any], family: Family, *, strict: bool) -> None:
    """Refuse what the row of the family does not describe."""
    if config.get("is_decoder") or config.get("add_cross_attention"):
        raise UnknownFamily("it is a decoder")
    for name, values in FIXED.items():
        if config.get(name) not in (None, *values):
            raise UnknownFamily(f"its {name} is {config[name]}")
    activation = config.get(family.activation, "gelu")
    if activation not in ACTIVATIONS:
        raise UnknownFamily(f"its activation is {activation}")
    read = {
        "model_type", "vocab_size", "type_vocab_size", "pad_token_id", "embedding_size", *DEFAULTS,
        family.activation, family.num_heads, family.num_layers, family.width, family.inner,
    }  # fmt: skip
    unknown = sorted(config.keys() - read - NO_EFFECT - FIXED.keys())
    if strict and unknown:
        raise UnknownFamily(f"its config.json has {unknown[0]}, of which it is not known what it changes")


def _parameters(arrays: dict[str, NDArray[Any]], family: Family) -> dict[str, NDArray[Any]]:
    """The arrays of the encoder, by their present names and without a prefix."""
    named = {}
    for name, array in arrays.items():
        ending = next((ending for ending in OLD_NAMES if name.endswith(f"LayerNorm{ending}")), "")
        named[name.removesuffix(ending) + OLD_NAMES.get(ending, "")] = array
    if any(name.startswith(family.prefix) for name in named):
        # What is beside the encoder uses its states and does not change them.
        return {
            name.removeprefix(family.prefix): array
            for name, array in named.items()
            if name.startswith(family.prefix)
        }
    return named


def _read(config: dict[str, Any], family: Family, take: Callable[[str], Floats], *, types: bool) -> Encoder:
    """Take every parameter that the family names; a KeyError is one that is not there."""
    padding_id = config.get("pad_token_id", family.padding_id)
    positions = take("embeddings.position_embeddings.weight")
    second = None
    if family.token_types:
        table = take("embeddings.token_type_embeddings.weight")
        if types and len(table) > 1 and not family.after_padding:
            second = positions + table[1]
        positions = positions + table[0]
    padding_position = None
    if family.after_padding:
        if padding_id is None:
            raise UnknownFamily("its pad_token_id is null, after which its positions begin")
        padding_position, positions = positions[padding_id], positions[padding_id + 1 :]
    bias = take(f"{family.distances}.weight") if family.distances else None
    return Encoder(
        words=take("embeddings.word_embeddings.weight"),
        padding_id=padding_id,
        positions=positions,
        second_positions=second,
        padding_position=padding_position,
        relative_bias=None if bias is None else _relative_bias(bias, len(positions)),
        norm=_norm(take, "embeddings.LayerNorm"),
        layers=tuple(
            _layer(take, family, family.layer.format(number))
            for number in range(config.get(family.num_layers, family.default_layers))
        ),
        num_heads=config.get(family.num_heads, family.default_heads),
        epsilon=epsilon(config, family),
        activation=ACTIVATIONS[config.get(family.activation, "gelu")],
    )


def epsilon(config: dict[str, Any], family: Family) -> float:
    """What is added to the variance of each normalization."""
    default = DEFAULTS["layer_norm_eps"]
    return default if family is DISTILBERT else float(config.get("layer_norm_eps", default))


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


def _relative_bias(table: Floats, positions: int) -> Floats:
    """The bias of each distance key - query, [heads, 2 * positions - 1], of a table [buckets, heads].

    The buckets are T5's: half of them for keys after the query, and of each half the first ones of one
    distance each, the others of ranges that grow by a constant factor up to ``MAX_DISTANCE``.
    """
    distances = np.arange(1 - positions, positions)
    half = BUCKETS // 2
    exact = half // 2
    apart = np.abs(distances)
    factor = np.log(np.maximum(apart, 1).astype(np.float32) / np.float32(exact)) / np.float32(
        math.log(MAX_DISTANCE / exact)
    )
    far = exact + (factor * np.float32(half - exact)).astype(np.int64)
    buckets = np.where(apart < exact, apart, np.minimum(far, half - 1)) + half * (distances > 0)
    return np.ascontiguousarray(table[buckets].T)


def _check_shapes(config: dict[str, Any], family: Family, encoder: Encoder) -> None:
    """Refuse arrays of other shapes than the config says; heads may have been pruned, in some layers only."""
    width = encoder.words.shape[1]
    shapes = {layer.qkv.weight.shape for layer in encoder.layers}
    if shapes != {(width, 3 * width)} or width % encoder.num_heads:
        raise UnknownFamily(f"its layers are not of {encoder.num_heads} heads that make up {width}")
    inner = {layer.up.weight.shape[1] for layer in encoder.layers}
    for name, actual in (
        (family.width, width),
        ("vocab_size", len(encoder.words)),
        *((family.inner, number) for number in sorted(inner)),
    ):
        if config.get(name, actual) != actual:
            raise UnknownFamily(f"its {name} is {config[name]}, and its parameters have {actual}")
