"""The kernels' operators with random weights and inputs, and the cases that every engine is tried with."""

import math
from dataclasses import dataclass, replace

import numpy as np
import onnx
from kernel_reference import (
    ACTIVATIONS,
    EPSILON,
    Array,
    Floats,
    embeddings,
    layer,
    product,
    rotary_layer,
    token_norm,
    vocabulary_maxima,
)
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from embed_onnx_export.graph import int8

DOMAIN = "embed_onnx"
LINEAR = "Linear"
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
        if self.operator == "TokenEmbeddings":
            return embeddings(self.weights, **self.inputs)
        if self.operator == "TokenNorm":
            return token_norm(self.weights, **self.inputs)
        if self.operator == "RotaryLayer":
            return rotary_layer(self.weights, self.attributes, **self.inputs)
        if self.operator == LINEAR:
            return product(self.inputs["x"].astype(np.float64), self.weights, "linear")
        if self.operator == VOCABULARY_MAXIMA:
            return vocabulary_maxima(self.weights, self.attributes, **self.inputs)
        return layer(self.weights, self.attributes, **self.inputs)

    def model(self) -> onnx.ModelProto:
        return model_of([self])


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
    axes = 2 if parts[-1].operator == VOCABULARY_MAXIMA else 3
    output = helper.make_tensor_value_info(states, TensorProto.FLOAT, [None] * axes)
    return helper.make_model(
        helper.make_graph(nodes, "kernels", described, [output], initializers),
        opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid(DOMAIN, 1)],
        ir_version=9,
    )


# ---- the cases that every engine is tried with

SHAPES = {
    "8 heads of 8": Shape(width=64, heads=8, head_size=8, hidden=256),
    "2 heads of 26": Shape(width=52, heads=2, head_size=26, hidden=100),
    "12 heads of 26": Shape(width=312, heads=12, head_size=26, hidden=600),
    "12 heads of 32": Shape(width=384, heads=12, head_size=32, hidden=768),
    "3 heads of 64": Shape(width=192, heads=3, head_size=64, hidden=129),
    "2 heads of 96": Shape(width=192, heads=2, head_size=96, hidden=257),
    "2 heads of 128": Shape(width=256, heads=2, head_size=128, hidden=333),
    "5 heads of 7": Shape(width=35, heads=5, head_size=7, hidden=13),
    "1 head of 1": Shape(width=1, heads=1, head_size=1, hidden=1),
    "1 head of 5": Shape(width=5, heads=1, head_size=5, hidden=3),
    "heads wider than the states": Shape(width=40, heads=3, head_size=24, hidden=50),
    "relative bias": Shape(width=48, heads=3, head_size=16, hidden=96, positions=40),
    "factors": Shape(width=48, heads=3, head_size=16, hidden=96, factors=True),
    "factors, width of no whole vector": Shape(width=35, heads=5, head_size=7, hidden=13, factors=True),
    "factors and relative bias": Shape(
        width=52, heads=2, head_size=26, hidden=100, positions=40, factors=True
    ),
    "relative bias of one position": Shape(width=48, heads=3, head_size=16, hidden=96, positions=1),
}
ROTARY_SHAPES = {
    "rotated, 8 heads of 8": Shape(width=64, heads=8, head_size=8, hidden=128, positions=70),
    "rotated, 2 heads of 26": Shape(width=52, heads=2, head_size=26, hidden=50, positions=70),
    "rotated, 3 heads of 64": Shape(width=192, heads=3, head_size=64, hidden=129, positions=70),
    "rotated, 5 heads of 2": Shape(width=35, heads=5, head_size=2, hidden=7, positions=70),
    "rotated, 1 head of 96": Shape(width=96, heads=1, head_size=96, hidden=5, positions=70),
}
WINDOWS = (0, 1, 5, 16, 31)
LOWEST, HIGHEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
MASKS = {
    "one token": [[1]],
    "right padding": [[1] * 9 + [0] * 4, [1] * 13],
    "left padding": [[0] * 4 + [1] * 9, [1] * 13],
    "holes": [[1, 0, 1, 1, 0, 0, 1, 1, 0], [0, 1, 0, 1, 0, 1, 0, 1, 0]],
    "a row of padding": [[1, 1, 1], [0, 0, 0], [1, 1, 0]],
    "only padding": [[0, 0, 0], [0, 0, 0]],
    "sequences of a row": [[1] * 7 + [2] * 20 + [3] + [4] * 12],
    "numbers in any order": [[5, 5, 3, 0, 3, 5, 9, 3], [2, 1, 2, 1, 2, 1, 0, 7]],
    "extreme numbers": [[HIGHEST, 1, HIGHEST, 1 << 32, HIGHEST - 1, 1, 0, HIGHEST - 1]],
    "tokens that none attends to": [
        [1] * 7 + [-1] * 2 + [3] + [2] * 9 + [-2],
        [5, 4, -5, 4, -4, 0, -4, 7, 7, -5] + [8] * 10,
    ],
    "extreme numbers that none attends to": [
        [HIGHEST, 1, 1 << 32, LOWEST + 1, -1, -(1 << 32), 0, LOWEST + 1]
    ],
    "no tokens": np.zeros((2, 0)),
    "no rows": np.zeros((0, 5)),
}


def every_case() -> dict[str, Case]:
    """By name, cases of a size that an emulator can bear."""
    mixed = numbered(19, 1, 8, 2)
    small = Shape(width=48, heads=3, head_size=16, hidden=80)
    relative = SHAPES["relative bias"]
    result = {
        name: layer_case(shape, numbered(*([1] * 9)) if shape.positions == 1 else mixed)
        for name, shape in SHAPES.items()
    }
    result |= {name: layer_case(small, mixed, activation=name) for name in ACTIVATIONS}
    result |= {
        f"{name}, pairs of weights within the limit": replace(
            result[name], weights=limited(result[name].weights)
        )
        for name in (*ACTIVATIONS, "2 heads of 26", "5 heads of 7", "relative bias")
    }
    rotary = ROTARY_SHAPES["rotated, 2 heads of 26"]
    lengths = numbered(1, 2, 19, 33, 70, 7)
    result |= {name: rotary_case(shape, lengths) for name, shape in ROTARY_SHAPES.items()}
    result |= {f"rotated, {name}": rotary_case(rotary, mixed, activation=name) for name in ACTIVATIONS}
    result |= {f"window of {window}": rotary_case(rotary, lengths, window=window) for window in WINDOWS}
    result |= {f"norm of {width}": norm_case(width, mixed) for width in (1, 7, 33, 192)}
    result |= {f"pairs of weights {name}": extreme_case(small, mixed, pairs) for name, pairs in PAIRS.items()}
    for name, rows in MASKS.items():
        mask = np.array(rows, np.int64)
        result |= {
            f"layer, {name}": layer_case(small, mask),
            f"layer with relative bias, {name}": layer_case(relative, mask),
            f"rotary layer, {name}": rotary_case(rotary, mask, window=3),
            f"norm, {name}": norm_case(52, mask),
            f"embeddings, {name}": embeddings_case(52, 40, mask),
            f"embeddings after padding, {name}": embeddings_case(52, 40, mask, after_padding=True),
            f"embeddings with factors, {name}": embeddings_case(52, 40, mask, factors=True),
        }
    result |= {
        "relative bias at full length": layer_case(relative, numbered(relative.positions)),
        "embeddings at full length": embeddings_case(33, 40, numbered(40, 39)),
        "embeddings after padding at full length": embeddings_case(
            33, 40, numbered(40, 39), after_padding=True
        ),
        "1,000 sequences of a token": layer_case(
            Shape(width=16, heads=2, head_size=8, hidden=16), numbered(*([1] * 1000))
        ),
        "lengths about the width of a vector": layer_case(
            small, numbered(*range(1, 20), 31, 32, 33, 63, 64, 65)
        ),
        "rows that do not vary": layer_case(small, mixed),
    }
    result["rows that do not vary"].inputs["states"][:] = 0.25
    result["values far from zero"] = far = layer_case(SHAPES["2 heads of 26"], mixed)
    far.weights["qkv_bias"][:] += 10
    return result


def vocabulary_cases() -> dict[str, Case]:
    """By name, vocabularies of sizes about whole panels, and every mask."""
    mixed = numbered(19, 1, 8, 2, 60)
    result = {
        f"vocabulary of {entries}": vocabulary_case(24, 24, entries, mixed, seed=entries)
        for entries in (1, 7, 63, 64, 65, 500)
    }
    result |= {
        f"vocabulary, {name}": vocabulary_case(24, 24, 70, mixed, activation=name) for name in ACTIVATIONS
    }
    result |= {
        f"vocabulary, {name}": vocabulary_case(24, 24, 70, np.array(rows, np.int64))
        for name, rows in MASKS.items()
    }
    limits = vocabulary_case(40, 24, 70, mixed)
    return result | {
        "vocabulary of narrower states": vocabulary_case(7, 33, 70, mixed),
        "vocabulary of wider states": limits,
        "vocabulary, pairs of weights within the limit": replace(limits, weights=limited(limits.weights)),
    }


def linear_cases() -> dict[str, Case]:
    """By name, products of sizes about whole panels and tiles, and numbers of rows about whole chunks."""
    result = {
        f"linear, {width} to {channels}": linear_case(width, channels, (2, 5), seed=width + channels)
        for width in (1, 7, 64, 65)
        for channels in (1, 31, 48, 63, 64, 65, 192, 500)
    }
    result |= {
        f"linear, {rows} rows": linear_case(40, 70, (1, rows), seed=rows)
        for rows in (0, 1, 6, 7, 48, 49, 200)
    }
    limits = linear_case(96, 70, (1, 9))
    return result | {
        "linear, pairs of weights within the limit": replace(limits, weights=limited(limits.weights))
    }


def random_cases(count: int) -> dict[str, Case]:
    """Layers of any sizes with masks of any numbers."""
    rng = np.random.default_rng(5)
    result = {}
    for number in range(count):
        head_size, heads, positions = rng.integers(1, 40), rng.integers(1, 6), rng.integers(1, 30)
        shape = Shape(
            width=int(rng.integers(1, 90)),
            heads=int(heads),
            head_size=int(head_size),
            hidden=int(rng.integers(1, 150)),
            positions=int(positions) * int(rng.integers(0, 2)),
        )
        mask = rng.integers(0, 4, (rng.integers(0, 3), rng.integers(0, positions + 1)))
        activation = list(ACTIVATIONS)[number % 4]
        result[f"layer {number}"] = layer_case(shape, mask, activation=activation, seed=number)
        rotary = replace(shape, head_size=2 * shape.head_size, positions=int(positions))
        window = int(rng.integers(0, 40))
        result[f"rotary layer {number}"] = rotary_case(
            rotary, mask, window=window, activation=activation, seed=number
        )
        result[f"embeddings {number}"] = embeddings_case(shape.width, int(positions), mask, seed=number)
    return result
