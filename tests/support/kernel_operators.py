"""The kernels' operators with random weights and inputs, each beside what numpy computes."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx
from kernel_reference import (
    EPSILON,
    Array,
    Floats,
    attended,
    embeddings,
    gated_product,
    layer,
    product,
    rms_norm,
    rotary_layer,
    token_norm,
    turned_heads,
    vocabulary_maxima,
)
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from embed_onnx_export.graph import int8

DOMAIN = "embed_onnx"
LINEAR = "Linear"
GATED_LINEAR = "GatedLinear"
ATTENTION = "Attention"
ROTATE_HEADS = "RotateHeads"
RMS_NORM = "RmsNorm"
VOCABULARY_MAXIMA = "VocabularyMaxima"
VOCABULARY = 53
PADDING_ID = 1
"""Of embeddings whose positions start after it."""
LAYER_WEIGHTS = (
    *("qkv_weight", "qkv_scale", "qkv_sum", "qkv_bias"),
    *("output_weight", "output_scale", "output_sum", "output_bias"),
    *("attention_gamma", "attention_beta"),
    *("up_weight", "up_scale", "up_sum", "up_bias"),
    *("down_weight", "down_scale", "down_sum", "down_bias"),
    *("output_gamma", "output_beta"),
)
"""In the order of the operator's inputs; those of ``OPTIONAL_WEIGHTS`` are after them."""
OPTIONAL_WEIGHTS = ("relative_bias", "qkv_factors", "up_factors")
MISSING = (("qkv_factors", "relative_bias", len(LAYER_WEIGHTS)), ("word_factors", "padding_id", 5))
"""An optional weight that may be there without the one before it, and the place of the absent one."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a layer; ``positions`` is 0 without a relative bias; ``factors`` of what qkv and up take."""

    width: int
    heads: int
    head_size: int
    hidden: int
    positions: int = 0
    factors: bool = False


@dataclass(frozen=True, kw_only=True)
class Case:
    """One operator with its weights, and its inputs: ``x``, or ``states`` or ``input_ids`` and a mask."""

    operator: str
    weights: dict[str, Array]
    attributes: dict[str, int | float | str]
    inputs: dict[str, Array]

    @property
    def tokens(self) -> NDArray[np.bool_]:
        """What is no padding, bool [batch, tokens]."""
        return self.inputs["attention_mask"] != 0

    def expected(self) -> Floats:
        return EXPECTED[self.operator](self)

    def model(self) -> onnx.ModelProto:
        return model_of([self])


EXPECTED: dict[str, Callable[[Case], Floats]] = {
    "TokenEmbeddings": lambda case: embeddings(case.weights, **case.inputs),
    "EncoderLayer": lambda case: layer(case.weights, case.attributes, **case.inputs),
    "TokenNorm": lambda case: token_norm(case.weights, **case.inputs),
    "RotaryLayer": lambda case: rotary_layer(case.weights, case.attributes, **case.inputs),
    VOCABULARY_MAXIMA: lambda case: vocabulary_maxima(case.weights, case.attributes, **case.inputs),
    LINEAR: lambda case: product(case.inputs["x"].astype(np.float64), case.weights, "linear"),
    GATED_LINEAR: lambda case: gated_product(
        case.inputs["x"].astype(np.float64), case.weights, case.attributes
    ),
    ATTENTION: lambda case: attended(case.attributes, **case.inputs),
    ROTATE_HEADS: lambda case: turned_heads(**case.inputs),
    RMS_NORM: lambda case: rms_norm(**case.inputs),
}
"""What each operator is to give."""

# ---- weights and inputs


def linear(
    rng: np.random.Generator, name: str, inputs: int, outputs: int, gain: float = 1.0
) -> dict[str, Array]:
    """A product whose results are about ``gain`` times as large as its inputs."""
    weight = rng.integers(-127, 128, (inputs, outputs)).astype(np.int8)
    scale = (gain / 73 / math.sqrt(inputs) * rng.uniform(0.5, 1.5, outputs)).astype(np.float32)
    return {
        f"{name}_weight": weight,
        f"{name}_scale": scale,
        f"{name}_sum": scale * weight.sum(axis=0, dtype=np.int32).astype(np.float32),
        f"{name}_bias": (0.3 * gain * rng.normal(size=outputs)).astype(np.float32),
    }


def limited(weights: dict[str, Array]) -> dict[str, Array]:
    """The same, with the exporter's limit on pairs of weights."""
    result = dict(weights)
    for name in (name.removesuffix("_weight") for name in weights if name.endswith("_weight")):
        values, scale, sums = int8.quantize_channels(weights[f"{name}_weight"].astype(np.float32))
        factor = weights[f"{name}_scale"]
        result |= {f"{name}_weight": values, f"{name}_scale": scale * factor, f"{name}_sum": sums * factor}
    return result


def norm(rng: np.random.Generator, width: int, prefix: str = "") -> dict[str, Array]:
    return {
        f"{prefix}gamma": rng.uniform(0.5, 1.5, width).astype(np.float32),
        f"{prefix}beta": (0.3 * rng.normal(size=width)).astype(np.float32),
    }


def layer_weights(rng: np.random.Generator, shape: Shape) -> dict[str, Array]:
    context = shape.heads * shape.head_size
    weights = (
        linear(rng, "qkv", shape.width, 3 * context, gain=1.5)
        | linear(rng, "output", context, shape.width, gain=2)
        | norm(rng, shape.width, "attention_")
        | linear(rng, "up", shape.width, shape.hidden, gain=2)
        | linear(rng, "down", shape.hidden, shape.width)
        | norm(rng, shape.width, "output_")
    )
    if shape.positions:
        size = (shape.heads, 2 * shape.positions - 1)
        weights["relative_bias"] = rng.normal(size=size).astype(np.float32)
    if shape.factors:
        for name in ("qkv_factors", "up_factors"):
            weights[name] = rng.uniform(0.2, 5, shape.width).astype(np.float32)
    return weights


def rotary_case(
    shape: Shape, mask: Array, *, window: int = 1000, activation: str = "gelu", seed: int = 0
) -> Case:
    """A layer with angles for ``shape.positions``."""
    rng = np.random.default_rng(seed)
    context = shape.heads * shape.head_size
    angles = rng.uniform(-math.pi, math.pi, (shape.positions, shape.head_size // 2)).astype(np.float32)
    weights = (
        {"cosines": np.cos(angles), "sines": np.sin(angles)}
        | linear(rng, "qkv", shape.width, 3 * context, gain=1.5)
        | linear(rng, "output", context, shape.width)
        | norm(rng, shape.width, "attention_")
        | linear(rng, "up", shape.width, 2 * shape.hidden)
        | linear(rng, "down", shape.hidden, shape.width, gain=0.5)
    )
    states = rng.normal(size=(2, *mask.shape, shape.width)).astype(np.float32)
    return Case(
        operator="RotaryLayer",
        weights=weights,
        attributes={
            "num_heads": shape.heads,
            "epsilon": EPSILON,
            "activation": activation,
            "window": window,
        },
        inputs={"states": states[0], "normal": states[1], "attention_mask": mask.astype(np.int64)},
    )


def norm_case(width: int, mask: Array) -> Case:
    rng = np.random.default_rng(width)
    return Case(
        operator="TokenNorm",
        weights=norm(rng, width),
        attributes={"epsilon": EPSILON},
        inputs={
            "states": rng.normal(size=(*mask.shape, width)).astype(np.float32),
            "attention_mask": mask.astype(np.int64),
        },
    )


def vocabulary_case(
    width: int, normalized: int, entries: int, mask: Array, *, activation: str = "gelu", seed: int = 0
) -> Case:
    rng = np.random.default_rng(seed)
    weights = (
        linear(rng, "transform", width, normalized, gain=2)
        | norm(rng, normalized)
        | linear(rng, "scores", normalized, entries)
    )
    return Case(
        operator=VOCABULARY_MAXIMA,
        weights=weights,
        attributes={"epsilon": EPSILON, "activation": activation},
        inputs={
            "states": rng.normal(size=(*mask.shape, width)).astype(np.float32),
            "attention_mask": mask.astype(np.int64),
        },
    )


def linear_case(width: int, channels: int, shape: tuple[int, ...], *, seed: int = 0) -> Case:
    """A product by itself of inputs [*shape, width]."""
    rng = np.random.default_rng(seed)
    return Case(
        operator=LINEAR,
        weights=linear(rng, "linear", width, channels),
        attributes={},
        inputs={"x": rng.normal(size=(*shape, width)).astype(np.float32)},
    )


def gated_case(
    width: int, channels: int, shape: tuple[int, ...], *, activation: str = "silu", seed: int = 0
) -> Case:
    """A product by itself, gated by another."""
    case = linear_case(width, channels, shape, seed=seed)
    gate = linear(np.random.default_rng(seed + 1), "gate", width, channels)
    return replace(
        case,
        operator=GATED_LINEAR,
        weights=gate | case.weights,
        attributes={"activation": activation},
    )


UNLIMITED = 2**31 - 1
"""As many tokens before or after a token as there are."""


def attention_case(
    heads: int,
    groups: int,
    size: int,
    mask: Array,
    *,
    before: int = UNLIMITED,
    after: int = UNLIMITED,
    seed: int = 0,
) -> Case:
    """Attention by itself; a group is a head of keys and of values."""
    rng = np.random.default_rng(seed)
    inputs = {
        name: rng.normal(size=(*mask.shape, count, size)).astype(np.float32)
        for name, count in (("queries", heads), ("keys", groups), ("values", groups))
    }
    return Case(
        operator=ATTENTION,
        weights={},
        attributes={"scale": 2 / size**0.5, "before": before, "after": after},
        inputs={**inputs, "attention_mask": mask.astype(np.int64)},
    )


def rotation_case(heads: int, size: int, channels: int, shape: tuple[int, int], *, texts: int = 1) -> Case:
    """Heads [*shape, heads, size], turned by the angles of each token, or of each of ``texts`` and token."""
    rng = np.random.default_rng(size + channels)
    angles = rng.normal(size=(2, texts, shape[1], channels)).astype(np.float32)
    return Case(
        operator=ROTATE_HEADS,
        weights={},
        attributes={},
        inputs={
            "x": rng.normal(size=(*shape, heads, size)).astype(np.float32),
            "cosines": angles[0],
            "sines": angles[1],
        },
    )


def rms_case(width: int, shape: tuple[int, ...]) -> Case:
    """Rows [*shape, width], normalised by the root of their mean square."""
    rng = np.random.default_rng(width)
    return Case(
        operator=RMS_NORM,
        weights={},
        attributes={"epsilon": EPSILON},
        inputs={
            "x": rng.normal(size=(*shape, width)).astype(np.float32),
            "gamma": rng.uniform(0.5, 1.5, width).astype(np.float32),
        },
    )


def embeddings_weights(
    rng: np.random.Generator, width: int, positions: int, *, after_padding: bool, factors: bool
) -> dict[str, Array]:
    """With a row more of positions, the first, and the padding id that has it, if they start after that."""
    weights = {
        "words": rng.integers(-127, 128, (VOCABULARY, width)).astype(np.int8),
        "word_scale": rng.uniform(0.01, 0.02, (VOCABULARY, 1)).astype(np.float32),
        "positions": rng.normal(size=(positions + after_padding, width)).astype(np.float32),
        **norm(rng, width),
        **({"padding_id": np.array([PADDING_ID])} if after_padding else {}),
    }
    if factors:
        weights["word_factors"] = rng.uniform(0.2, 5, width).astype(np.float32)
    return weights


def random_ids(rng: np.random.Generator, shape: int | tuple[int, ...]) -> NDArray[np.int64]:
    """Token ids, among which the padding id is a frequent one."""
    ids = rng.integers(0, VOCABULARY, shape)
    return np.where(rng.random(shape) < 0.2, PADDING_ID, ids)


def layer_case(shape: Shape, mask: Array, *, activation: str = "gelu", seed: int = 0) -> Case:
    rng = np.random.default_rng(seed)
    return Case(
        operator="EncoderLayer",
        weights=layer_weights(rng, shape),
        attributes={"num_heads": shape.heads, "epsilon": EPSILON, "activation": activation},
        inputs={
            "states": rng.normal(size=(*mask.shape, shape.width)).astype(np.float32),
            "attention_mask": mask.astype(np.int64),
        },
    )


PAIRS = {
    "at the limit": ((127, 1), (1, 127), (64, 64), (-127, -1), (-1, -127), (-64, -64), (-128, 0), (0, -128)),
    "one beyond the limit": ((127, 2), (2, 127), (65, 64), (-127, -2), (-2, -127), (-64, -65), (-128, -1)),
    "as large as can be": ((127, 127), (-127, -127), (-128, -128), (127, -128)),
}
"""Of weights, by the size of their sum; 255 times as much fits 16 signed bits up to the limit."""


def extreme_case(shape: Shape, mask: Array, pairs: tuple[tuple[int, int], ...]) -> Case:
    """The first product is of these pairs of weights and of rows with nothing between 0 and 255."""
    case = layer_case(shape, mask, activation="relu")
    rng = np.random.default_rng(0)
    weight = case.weights["qkv_weight"]
    rows, columns = weight.shape
    drawn = np.array(pairs, np.int8)[rng.integers(0, len(pairs), (rows // 2, columns))]
    weight[:] = drawn.transpose(0, 2, 1).reshape(weight.shape)
    case.weights["qkv_scale"] /= 10
    case.weights["qkv_sum"][:] = case.weights["qkv_scale"] * weight.sum(axis=0, dtype=np.int32)
    states = case.inputs["states"]
    states[:] = np.where(rng.random(states.shape) < 0.9, 1, -1)
    return case


def embeddings_case(
    width: int,
    positions: int,
    mask: Array,
    *,
    after_padding: bool = False,
    factors: bool = False,
    seed: int = 0,
) -> Case:
    rng = np.random.default_rng(seed)
    return Case(
        operator="TokenEmbeddings",
        weights=embeddings_weights(rng, width, positions, after_padding=after_padding, factors=factors),
        attributes={"epsilon": EPSILON},
        inputs={
            "input_ids": random_ids(rng, mask.shape),
            "attention_mask": mask.astype(np.int64),
        },
    )


def numbered(*lengths: int) -> NDArray[np.int64]:
    """A mask of one row with sequences of these lengths, one after another."""
    return np.repeat(np.arange(1, len(lengths) + 1), lengths)[None]


def assert_near(case: Case, actual: Array) -> None:
    """Few numbers lie at the border of two integers, and each moves its row by little; padding is zero."""
    expected = case.expected()
    worst, typical = 5e-2, 2e-6
    if case.operator in ("TokenEmbeddings", "TokenNorm"):
        worst = 5e-6
    assert expected.shape == actual.shape
    assert np.float32 == actual.dtype
    assert not actual[~case.tokens].any()
    off = np.abs(expected - actual)[case.tokens]
    assert (off <= worst).all(), f"off by {off.max():.2g}"
    if len(off) >= ENOUGH_TOKENS:
        assert np.median(off) <= typical, f"off by {np.median(off):.2g} and more, half of the numbers"


ENOUGH_TOKENS = 8
"""Of fewer, most rows may have a number at a border."""


def model_of(parts: list[Case], variable: tuple[str, ...] = ()) -> onnx.ModelProto:
    """A file with these operators one after another; weights named in ``variable`` are inputs of it."""
    nodes, initializers, inputs = [], [], {}
    states = next(iter(parts[0].inputs))
    for number, part in enumerate(parts):
        names = []
        for name, array in part.weights.items():
            names.append(name if name in variable else f"{number}.{name}")
            if name in variable:
                inputs[name] = array
            else:
                initializers.append(numpy_helper.from_array(array, names[-1]))
        for following, missing, place in MISSING:
            if following in part.weights and missing not in part.weights:
                names.insert(place, "")
        source = [states, *list(part.inputs)[1:], *names]
        states = f"states.{number}"
        nodes.append(
            helper.make_node(part.operator, source, [states], domain=DOMAIN, name=states, **part.attributes)
        )
    inputs |= parts[0].inputs
    described = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), [None] * array.ndim)
        for name, array in inputs.items()
    ]
    axes = {VOCABULARY_MAXIMA: 2, ATTENTION: 4, ROTATE_HEADS: 4}.get(parts[-1].operator, 3)
    output = helper.make_tensor_value_info(states, TensorProto.FLOAT, [None] * axes)
    return helper.make_model(
        helper.make_graph(nodes, "kernels", described, [output], initializers),
        opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid(DOMAIN, 1)],
        ir_version=9,
    )
