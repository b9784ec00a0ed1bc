"""The cases that every engine of the kernels is tried with."""

from dataclasses import replace

import numpy as np
from kernel_operators import (
    PAIRS,
    UNLIMITED,
    Case,
    Shape,
    attention_case,
    embeddings_case,
    extreme_case,
    gated_case,
    layer_case,
    limited,
    linear_case,
    norm_case,
    numbered,
    rms_case,
    rotary_case,
    rotation_case,
    vocabulary_case,
)
from kernel_reference import ACTIVATIONS

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
    result |= {
        f"gated, {width} to {channels}": gated_case(width, channels, (1, 50), seed=width + channels)
        for width, channels in ((1, 1), (7, 64), (64, 65), (65, 192))
    }
    result |= {
        f"gated by {activation}": gated_case(24, 70, (2, 9), activation=activation)
        for activation in ACTIVATIONS
    }
    limits = linear_case(96, 70, (1, 9))
    return result | {
        "linear, pairs of weights within the limit": replace(limits, weights=limited(limits.weights))
    }


PIECES = {name: MASKS[name] for name in MASKS if name not in ("holes", "numbers in any order")} | {
    "tokens that none attends to": [[1] * 7 + [-1] * 2 + [3] + [2] * 9 + [-2], [5, 5, -5, 0] + [4] * 16],
    "extreme numbers": [[HIGHEST, 1 << 32, 1 << 32, HIGHEST - 1, HIGHEST - 1, 1, 0, 1 << 33]],
    "extreme numbers that none attends to": [
        [HIGHEST, LOWEST + 1, LOWEST + 1, 1 << 32, -(1 << 32), 1, -1, 0]
    ],
}
"""The masks whose sequences are in one piece."""


def attention_cases() -> dict[str, Case]:
    """By name, heads of each size and number, windows, and masks; rotations of heads; and their norms."""
    mixed = numbered(19, 1, 8, 2, 70)
    result = {
        f"attention, {heads} heads of {size}, {groups} groups": attention_case(heads, groups, size, mixed)
        for heads, groups, size in ((1, 1, 16), (2, 2, 32), (4, 1, 48), (6, 3, 64), (2, 1, 80), (3, 1, 256))
    }
    result |= {
        f"attention, {before} before and {after} after": attention_case(
            2, 1, 16, mixed, before=before, after=after
        )
        for before, after in ((UNLIMITED, 0), (0, 0), (1, 0), (16, 16), (31, 0), (3, 40), (0, UNLIMITED))
    }
    result |= {
        f"attention, {name}": attention_case(4, 2, 16, np.array(rows, np.int64), after=0)
        for name, rows in PIECES.items()
    }
    result |= {
        f"root mean square of {width}": rms_case(width, shape)
        for width, shape in ((1, (1, 3)), (7, (2, 5)), (33, (1, 1)), (128, (2, 0)), (192, (1, 50)))
    }
    result |= {
        f"{channels} channels of heads of {size}": rotation_case(heads, size, channels, shape)
        for heads, size, channels, shape in (
            (1, 2, 2, (1, 5)),
            (3, 26, 26, (2, 7)),
            (2, 64, 64, (1, 33)),
            (2, 80, 32, (3, 4)),
            (4, 10, 6, (1, 1)),
            (1, 16, 0, (1, 3)),
        )
    }
    return result | {"angles of each text": rotation_case(2, 16, 16, (3, 4), texts=3)}


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
