"""What should come out of the kernels, in plain numpy.

Rows are quantised as the kernels do it, so that both differ by roundings only: a row whose number lies at
the border of two integers becomes the one here and the other there, which moves the row a little.
"""

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
Floats = NDArray[np.float64]
EPSILON = 0.01
"""Far larger than in real models, so that another one is noticed."""

GELU = (0.396475058, -0.0625876855, 0.00784868606, -0.000617500027, 2.68886367e-05, -4.89970301e-07)
"""Of the kernels' polynomial in x^2 for (Phi(x) - 1/2) / x, from the lowest power on."""


def gelu(x: Floats) -> Floats:
    """The kernels' approximation of x Phi(x), Phi the normal distribution function."""
    t = np.clip(x, -3.7, 3.7)
    return x * (0.5 + t * np.polynomial.Polynomial(GELU)(t * t))


ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "gelu": gelu,
    "gelu_tanh": lambda x: x * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
}


def sequences(mask: Array) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """For each sequence its row of the mask, and where in the row its tokens are."""
    for row, numbers in enumerate(mask):
        for number in np.unique(np.abs(numbers[numbers != 0])):
            yield row, np.flatnonzero(np.abs(numbers) == number)


def quantize(x: Floats) -> tuple[Floats, Floats, Floats]:
    """Rows [n, width] as whole numbers 0..255; scale and minimum [n, 1]. In float32, as in the kernels."""
    x32 = x.astype(np.float32)
    minimum = x32.min(axis=-1, keepdims=True)
    span = x32.max(axis=-1, keepdims=True) - minimum
    scale = np.where(span > 255e-30, span / np.float32(255), np.float32(1e-30)).astype(np.float32)
    whole = np.rint((x32 - minimum) * (np.float32(1) / scale))
    return whole.astype(np.float64), scale.astype(np.float64), minimum.astype(np.float64)


def product(x: Floats, weights: dict[str, Array], name: str) -> Floats:
    whole, scale, minimum = quantize(x)
    sums = whole @ weights[f"{name}_weight"].astype(np.float64)
    shift = minimum * weights[f"{name}_sum"] + weights[f"{name}_bias"]
    return scale * weights[f"{name}_scale"] * sums + shift


def gated_product(x: Floats, weights: dict[str, Array], attributes: dict[str, int | float | str]) -> Floats:
    return ACTIVATIONS[attributes["activation"]](product(x, weights, "gate")) * product(x, weights, "linear")


def balanced(x: Floats, weights: dict[str, Array], name: str) -> Floats:
    """Times the factors of a product's input, if it has some; in float32, as in the kernels."""
    factors = weights.get(f"{name}_factors")
    return x if factors is None else (x.astype(np.float32) * factors).astype(np.float64)


def layer_norm(x: Floats, gamma: Array, beta: Array) -> Floats:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON) * gamma + beta


def rotated(x: Floats, cosines: Array, sines: Array) -> Floats:
    """Of one sequence, [heads, tokens, size]: halves of a head's channels are parts of complex numbers."""
    tokens, half = x.shape[1], x.shape[2] // 2
    turned = (x[..., :half] + 1j * x[..., half:]) * (cosines + 1j * sines.astype(np.float64))[:tokens]
    return np.concatenate([turned.real, turned.imag], axis=-1).astype(np.float32).astype(np.float64)


def attention(
    qkv: Floats,
    heads: int,
    relative_bias: Array | None = None,
    angles: tuple[Array, Array] | None = None,
    window: float = math.inf,
    *,
    seen: int,
) -> Floats:
    """The context of one sequence, [tokens, 3 * heads * size] to [tokens, heads * size].

    Its first ``seen`` tokens are those that all attend to.
    Heads whose size is no multiple of 16 are followed by zeros, which count for a row's range.
    """
    tokens = len(qkv)
    queries, keys, values = qkv.reshape(tokens, 3, heads, -1).transpose(1, 2, 0, 3)
    if angles is not None:
        queries, keys = rotated(queries, *angles), rotated(keys, *angles)
    padded = queries.shape[-1] + -queries.shape[-1] % 16
    largest = math.floor(math.sqrt(2147483000 / padded))
    queries = stepped(queries, largest)
    keys, values = stepped(keys[:, :seen], largest), stepped(values[:, :seen], LARGEST_16)
    scores = queries @ keys.transpose(0, 2, 1) / math.sqrt(queries.shape[-1])
    distances = np.arange(seen)[None] - np.arange(tokens)[:, None]
    if relative_bias is not None:
        scores = scores + relative_bias[:, distances + relative_bias.shape[1] // 2]
    scores = np.where(np.abs(distances) > window, -np.inf, scores)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    mixed = np.rint(shares * LARGEST_16) / LARGEST_16 @ values
    return mixed.transpose(1, 0, 2)


LARGEST_16 = 32767
"""The largest signed integer of 16 bits."""


def stepped(x: Floats, largest: int) -> Floats:
    """Of one sequence, [heads, tokens, size]: multiples of a step a head, at most ``largest`` of it."""
    step = np.maximum(np.abs(x).max(axis=(1, 2), keepdims=True), 1e-30) / largest
    return np.rint(x / step) * step


def pad_heads(context: Floats, weights: dict[str, Array]) -> tuple[Floats, dict[str, Array]]:
    """Context [tokens, heads, size] to [tokens, heads * padded size], with the output weights to match."""
    tokens, heads, size = context.shape
    more = -size % 16
    matrix = weights["output_weight"]
    padded = np.pad(matrix.reshape(heads, size, -1), [(0, 0), (0, more), (0, 0)])
    return (
        np.pad(context, [(0, 0), (0, 0), (0, more)]).reshape(tokens, -1),
        weights | {"output_weight": padded.reshape(-1, matrix.shape[1])},
    )


def layer(
    weights: dict[str, Array], attributes: dict[str, int | float | str], states: Array, attention_mask: Array
) -> Floats:
    out = np.zeros(states.shape)
    for row, places in sequences(attention_mask):
        x = states[row, places].astype(np.float64)
        qkv = product(balanced(x, weights, "qkv"), weights, "qkv").astype(np.float32).astype(np.float64)
        context, padded = pad_heads(
            attention(
                qkv,
                attributes["num_heads"],
                weights.get("relative_bias"),
                seen=(attention_mask[row, places] > 0).sum(),
            ),
            weights,
        )
        around = x + product(context, padded, "output")
        x = layer_norm(around, weights["attention_gamma"], weights["attention_beta"])
        hidden = ACTIVATIONS[attributes["activation"]](product(balanced(x, weights, "up"), weights, "up"))
        around = x + product(hidden, weights, "down")
        out[row, places] = layer_norm(around, weights["output_gamma"], weights["output_beta"])
    return out


def rotary_layer(
    weights: dict[str, Array],
    attributes: dict[str, int | float | str],
    states: Array,
    normal: Array,
    attention_mask: Array,
) -> Floats:
    out = np.zeros(states.shape)
    heads, window = attributes["num_heads"], attributes["window"]
    angles = weights["cosines"], weights["sines"]
    for row, places in sequences(attention_mask):
        qkv = product(normal[row, places].astype(np.float64), weights, "qkv")
        qkv = qkv.astype(np.float32).astype(np.float64)
        seen = (attention_mask[row, places] > 0).sum()
        context, padded = pad_heads(attention(qkv, heads, angles=angles, window=window, seen=seen), weights)
        around = states[row, places].astype(np.float64) + product(context, padded, "output")
        x = layer_norm(around, weights["attention_gamma"], weights["attention_beta"])
        raised, factor = np.split(product(x, weights, "up"), 2, axis=-1)
        hidden = ACTIVATIONS[attributes["activation"]](raised) * factor
        out[row, places] = around + product(hidden, weights, "down")
    return out


def token_norm(weights: dict[str, Array], states: Array, attention_mask: Array) -> Floats:
    normal = layer_norm(states.astype(np.float64), weights["gamma"], weights["beta"])
    return np.where(attention_mask[..., None] != 0, normal, 0)


def vocabulary_maxima(
    weights: dict[str, Array], attributes: dict[str, int | float | str], states: Array, attention_mask: Array
) -> Floats:
    """[sequences, entries]: by rows of the mask, and in each by number."""
    raised = product(states.astype(np.float64), weights, "transform")
    active = ACTIVATIONS[str(attributes["activation"])](raised)
    scores = product(layer_norm(active, weights["gamma"], weights["beta"]), weights, "scores")
    of_sequences = [scores[row, places].max(axis=0) for row, places in sequences(attention_mask)]
    entries = scores.shape[-1]
    return np.maximum(np.array(of_sequences).reshape(-1, entries), 0)


def places_in(ids: Array, padding_id: Array | None) -> list[int]:
    """For each token of a sequence its row of the positions."""
    if padding_id is None:
        return list(range(len(ids)))
    others = itertools.count(1)
    return [0 if token_id == padding_id else next(others) for token_id in ids]


def embeddings(weights: dict[str, Array], input_ids: Array, attention_mask: Array) -> Floats:
    out = np.zeros((*input_ids.shape, weights["words"].shape[1]))
    for row, places in sequences(attention_mask):
        ids = input_ids[row, places]
        words = weights["words"][ids].astype(np.float64) * weights["word_scale"][ids]
        words *= weights.get("word_factors", 1)
        both = words + weights["positions"][places_in(ids, weights.get("padding_id"))]
        out[row, places] = layer_norm(both, weights["gamma"], weights["beta"])
    return out


def attended(
    attributes: dict[str, int | float | str],
    queries: Array,
    keys: Array,
    values: Array,
    attention_mask: Array,
) -> Floats:
    """``Attention``: heads of queries share keys and values; padding is zero."""
    shared = queries.shape[2] // keys.shape[2]
    expected = np.zeros(queries.shape)
    for row, tokens in sequences(attention_mask):
        q, k, v = (heads[row, tokens].astype(np.float64) for heads in (queries, keys, values))
        distances = np.arange(len(tokens)) - np.arange(len(tokens))[:, None]
        seen = (distances >= -attributes["before"]) & (distances <= attributes["after"])
        seen &= attention_mask[row, tokens] > 0
        scores = np.einsum("qhd,khd->hqk", q, k.repeat(shared, axis=1)) * attributes["scale"]
        powers = np.exp(
            np.where(seen, scores, -np.inf) - np.where(seen, scores, -np.inf).max(-1, keepdims=True)
        )
        shares = powers / powers.sum(-1, keepdims=True)
        expected[row, tokens] = np.einsum("hqk,khd->qhd", shares, v.repeat(shared, axis=1))
    return expected


def rms_norm(x: Array, gamma: Array) -> Floats:
    """``RmsNorm`` over the last axis."""
    wide = x.astype(np.float64)
    return wide / np.sqrt((wide**2).mean(axis=-1, keepdims=True) + EPSILON) * gamma


def turned_heads(x: Array, cosines: Array, sines: Array) -> Floats:
    """``RotateHeads``: of the first channels of a head, the halves are turned as by a complex number."""
    channels = cosines.shape[-1]
    first, others = np.split(x.astype(np.float64), [channels], axis=-1)
    real, imaginary = np.split(first, 2, axis=-1)
    across = np.concatenate([-imaginary, real], axis=-1)
    both = first * cosines[:, :, None] + across * sines[:, :, None]
    return np.concatenate([both, others], axis=-1)
