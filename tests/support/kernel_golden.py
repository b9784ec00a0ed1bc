"""Operators made without a random generator, and the digests of what comes out of them on every processor.

Their numbers are bytes of a hash divided by powers of two, which any numpy on any machine makes alike. The
digests in ``kernel_golden.json`` are those of the AVX2 kernels. After a change of formulas, write them again:

    PYTHONPATH=tests/support .venv/bin/python -m kernel_golden
"""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
from kernel_cases import ROTARY_SHAPES, SHAPES, WINDOWS
from kernel_operators import (
    ATTENTION,
    GATED_LINEAR,
    LINEAR,
    RMS_NORM,
    ROTATE_HEADS,
    UNLIMITED,
    VOCABULARY,
    VOCABULARY_MAXIMA,
    Case,
    Shape,
    numbered,
)
from kernel_reference import ACTIVATIONS, EPSILON, Array
from numpy.typing import NDArray

FILE = Path(__file__).with_suffix(".json")
LENGTHS = (1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 40)


def digests() -> dict[str, str]:
    """What is in the file, by the names of the cases."""
    result: dict[str, str] = json.loads(FILE.read_text())
    return result


def digest(states: Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(states, "<f4").tobytes()).hexdigest()[:16]


def cases() -> dict[str, Case]:
    """By name: a layer of each shape, each activation, and embeddings of several widths."""
    mask = numbered(*LENGTHS)
    result = {
        name: _layer(name, shape, numbered(1, 1, 1) if shape.positions == 1 else mask)
        for name, shape in SHAPES.items()
    }
    small = Shape(width=52, heads=2, head_size=26, hidden=100)
    result |= {name: _layer(name, small, mask, name) for name in ACTIVATIONS}
    result |= {name: _rotary(name, shape, mask) for name, shape in ROTARY_SHAPES.items()}
    result |= {f"window of {window}": _rotary("window", small, mask, window) for window in WINDOWS}
    result |= {f"norm {width}": _norm_case(width, mask) for width in (7, 33, 192)}
    result |= {f"embeddings {width}": _embeddings(width, mask) for width in (7, 33, 52, 384)}
    result |= {f"vocabulary {entries}": _vocabulary(33, entries, mask) for entries in (7, 192, 333)}
    result |= {f"linear {channels}": _linear(52, channels) for channels in (7, 192, 333)}
    result |= {f"gated {name}": _gated(52, 333, name) for name in ("silu", "gelu_tanh")}
    result |= {
        f"attention {heads} of {size}, {before}": _attention(heads, groups, size, mask, before)
        for heads, groups, size, before in ((2, 2, 16, UNLIMITED), (6, 2, 80, 11), (4, 1, 128, UNLIMITED))
    }
    result |= {f"root mean square {width}": _rms_norm(width) for width in (33, 192)}
    result |= {f"rotation {channels}": _rotation(80, channels) for channels in (32, 80)}
    return result | {
        f"embeddings {width}, factors": _embeddings(width, mask, factors=True) for width in (33, 384)
    }


def _bytes(name: str, *shape: int) -> NDArray[np.int8]:
    raw = hashlib.shake_256(name.encode()).digest(math.prod(shape))
    return np.frombuffer(raw, np.int8).reshape(shape)


def _floats(name: str, *shape: int, around: float = 0.0, spread: float = 1.0) -> NDArray[np.float32]:
    """``around`` plus -``spread`` to ``spread``; both are powers of two, so that no number is rounded."""
    return (around + spread / 128 * _bytes(name, *shape).astype(np.float32)).astype(np.float32)


def _product(case: str, name: str, inputs: int, outputs: int) -> dict[str, Array]:
    weight = _bytes(f"{case} {name} weight", inputs, outputs)
    size = 2.0 ** -round(6 + math.log2(inputs) / 2)
    scale = _floats(f"{case} {name} scale", outputs, around=size, spread=size / 2)
    return {
        f"{name}_weight": weight,
        f"{name}_scale": scale,
        f"{name}_sum": scale * weight.sum(axis=0, dtype=np.int32).astype(np.float32),
        f"{name}_bias": _floats(f"{case} {name} bias", outputs, spread=0.5),
    }


def _norm(case: str, width: int, prefix: str = "") -> dict[str, Array]:
    return {
        f"{prefix}gamma": _floats(f"{case} {prefix}gamma", width, around=1.0, spread=0.5),
        f"{prefix}beta": _floats(f"{case} {prefix}beta", width, spread=0.25),
    }


def _layer(name: str, shape: Shape, mask: NDArray[np.int64], activation: str = "gelu") -> Case:
    context = shape.heads * shape.head_size
    weights = (
        _product(name, "qkv", shape.width, 3 * context)
        | _product(name, "output", context, shape.width)
        | _norm(name, shape.width, "attention_")
        | _product(name, "up", shape.width, shape.hidden)
        | _product(name, "down", shape.hidden, shape.width)
        | _norm(name, shape.width, "output_")
    )
    if shape.positions:
        weights["relative_bias"] = _floats(f"{name} bias", shape.heads, 2 * shape.positions - 1)
    if shape.factors:
        for part in ("qkv_factors", "up_factors"):
            weights[part] = _floats(f"{name} {part}", shape.width, around=1.0, spread=0.5)
    states = _floats(f"{name} states", *mask.shape, shape.width, spread=2.0)
    return Case(
        operator="EncoderLayer",
        weights=weights,
        attributes={"num_heads": shape.heads, "epsilon": EPSILON, "activation": activation},
        inputs={"states": states, "attention_mask": mask},
    )


def _rotary(name: str, shape: Shape, mask: NDArray[np.int64], window: int = 1000) -> Case:
    context, half = shape.heads * shape.head_size, shape.head_size // 2
    weights = (
        {part: _floats(f"{name} {part}", max(LENGTHS), half) for part in ("cosines", "sines")}
        | _product(name, "qkv", shape.width, 3 * context)
        | _product(name, "output", context, shape.width)
        | _norm(name, shape.width, "attention_")
        | _product(name, "up", shape.width, 2 * shape.hidden)
        | _product(name, "down", shape.hidden, shape.width)
    )
    inputs = {
        part: _floats(f"{name} {part}", *mask.shape, shape.width, spread=2.0) for part in ("states", "normal")
    }
    return Case(
        operator="RotaryLayer",
        weights=weights,
        attributes={"num_heads": shape.heads, "epsilon": EPSILON, "activation": "gelu", "window": window},
        inputs={**inputs, "attention_mask": mask},
    )


def _norm_case(width: int, mask: NDArray[np.int64]) -> Case:
    name = f"norm {width}"
    return Case(
        operator="TokenNorm",
        weights=_norm(name, width),
        attributes={"epsilon": EPSILON},
        inputs={"states": _floats(f"{name} states", *mask.shape, width, spread=2.0), "attention_mask": mask},
    )


def _vocabulary(width: int, entries: int, mask: NDArray[np.int64]) -> Case:
    name = f"vocabulary {entries}"
    weights = (
        _product(name, "transform", width, width)
        | _norm(name, width)
        | _product(name, "scores", width, entries)
    )
    return Case(
        operator=VOCABULARY_MAXIMA,
        weights=weights,
        attributes={"epsilon": EPSILON, "activation": "gelu"},
        inputs={"states": _floats(f"{name} states", *mask.shape, width, spread=2.0), "attention_mask": mask},
    )


def _linear(width: int, channels: int) -> Case:
    name = f"linear {channels}"
    return Case(
        operator=LINEAR,
        weights=_product(name, "linear", width, channels),
        attributes={},
        inputs={"x": _floats(f"{name} x", 1, 55, width, spread=2.0)},
    )


def _gated(width: int, channels: int, activation: str) -> Case:
    name = f"gated {activation}"
    return Case(
        operator=GATED_LINEAR,
        weights=_product(name, "gate", width, channels) | _product(name, "linear", width, channels),
        attributes={"activation": activation},
        inputs={"x": _floats(f"{name} x", 1, 55, width, spread=2.0)},
    )


def _attention(heads: int, groups: int, size: int, mask: NDArray[np.int64], before: int) -> Case:
    name = f"attention {heads} of {size}"
    inputs = {
        part: _floats(f"{name} {part}", *mask.shape, count, size, spread=2.0)
        for part, count in (("queries", heads), ("keys", groups), ("values", groups))
    }
    return Case(
        operator=ATTENTION,
        weights={},
        attributes={"scale": 0.125, "before": before, "after": 0},
        inputs={**inputs, "attention_mask": mask},
    )


def _rms_norm(width: int) -> Case:
    name = f"root mean square {width}"
    return Case(
        operator=RMS_NORM,
        weights={},
        attributes={"epsilon": EPSILON},
        inputs={
            "x": _floats(f"{name} x", 2, 11, width, spread=2.0),
            "gamma": _floats(f"{name} gamma", width, around=1.0, spread=0.5),
        },
    )


def _rotation(size: int, channels: int) -> Case:
    name = f"rotation {channels}"
    angles = {part: _floats(f"{name} {part}", 1, 11, channels) for part in ("cosines", "sines")}
    return Case(
        operator=ROTATE_HEADS,
        weights={},
        attributes={},
        inputs={"x": _floats(f"{name} x", 2, 11, 3, size, spread=2.0), **angles},
    )


def _embeddings(width: int, mask: NDArray[np.int64], *, factors: bool = False) -> Case:
    name = f"embeddings {width}"
    ids = _bytes(f"{name} ids", *mask.shape).astype(np.int64) % VOCABULARY
    weights = {
        "words": _bytes(f"{name} words", VOCABULARY, width),
        "word_scale": _floats(f"{name} scale", VOCABULARY, 1, around=1 / 64, spread=1 / 128),
        "positions": _floats(f"{name} positions", max(LENGTHS), width),
        **_norm(name, width),
    }
    if factors:
        weights["word_factors"] = _floats(f"{name} factors", width, around=1.0, spread=0.5)
    return Case(
        operator="TokenEmbeddings",
        weights=weights,
        attributes={"epsilon": EPSILON},
        inputs={"input_ids": ids, "attention_mask": mask},
    )


if __name__ == "__main__":
    from kernel_sessions import run_case

    results = {name: digest(run_case(case, "avx2")) for name, case in cases().items()}
    FILE.write_text(json.dumps(results, indent=2) + "\n")
