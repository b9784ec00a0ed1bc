"""The int8 products of an encoder, made with regard to what its layers compute for sample texts.

Texts go through the float32 layers, one layer after the other, and of the inputs of each product the largest
magnitudes and the covariance are collected. Two things are made of them:

**Balance.** An activation's step is a 255th of its row's range, so that a few large channels cost all
others their precision. Each input channel is multiplied by a factor, and its weights are divided by it:

    factor = largest weight ^ (1 - a) / largest activation ^ a,    a = ``balance.PRODUCT_EXPONENT``

which moves a part of the range to the weights, where each column has a scale of its own. Attention mixes
values channel by channel, so that the factors of the product after it are put into the values' weights. The
inputs of qkv and up are also added to what comes out, so that their factors are inputs of ``EncoderLayer``.
The input of down comes out of the activation, and has none.

**Rounding**, by ``rounding``; what is left of an error's mean goes into the bias.
"""

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from embed_onnx_export.graph import balance, onnx_file, rounding
from embed_onnx_export.graph.bert import encoder_graph, functions
from embed_onnx_export.graph.bert.families import Encoder, Layer, Linear
from embed_onnx_export.graph.bert.products import Factors, LayerProducts, Product
from embed_onnx_export.graph.int8 import Floats
from embed_onnx_export.graph.rounding import Doubles

TEXT_TOKENS = 512
"""So many tokens of a text are used at most."""
ALL_TOKENS = 2**15
"""So many of all texts: about 6 minutes of one core for a model of mpnet-base's size."""
PACK_TOKENS = 512
"""So many tokens of several texts run together."""


class Observed(msgspec.Struct, frozen=True):
    """What is known of a product's input: each channel's mean and largest magnitude, and their covariance."""

    largest: Floats
    mean: Doubles
    covariance: Doubles

    def scaled(self, factors: Floats) -> "Observed":
        """The same of an input whose channels are multiplied by factors."""
        return Observed(
            self.largest * factors, self.mean * factors, self.covariance * np.outer(factors, factors)
        )


def calibrate(encoder: Encoder, texts: Sequence[Sequence[int]]) -> list[LayerProducts]:
    """The products of each layer, for the token ids of sample texts, none of them empty."""
    packs = list(_packs(cut(texts, len(encoder.positions))))
    masks = [np.repeat(np.arange(1, len(pack) + 1), [len(text) for text in pack])[None] for pack in packs]
    embeddings = onnx_file.session(encoder_graph.embeddings(encoder))
    states = []
    for pack, mask in zip(packs, masks, strict=True):
        ids = np.concatenate([np.asarray(text, np.int64) for text in pack])[None]
        states += embeddings.run(None, {"input_ids": ids, "attention_mask": mask})
    layers = []
    for layer in encoder.layers:
        observed, states = _observe(encoder, layer, states, masks)
        layers.append(_products(layer, *observed))
    return layers


def cut(texts: Sequence[Sequence[int]], positions: int) -> list[Sequence[int]]:
    """The beginnings of texts that are used: the longest are cut until all have ``ALL_TOKENS`` at most."""
    longest = min(TEXT_TOKENS, positions)
    while sum(min(len(text), longest) for text in texts) > ALL_TOKENS:
        longest //= 2
    return [text[:longest] for text in texts]


def _packs(texts: Sequence[Sequence[int]]) -> Iterator[list[Sequence[int]]]:
    """Texts that run together."""
    pack: list[Sequence[int]] = []
    for text in texts:
        if sum(map(len, pack), len(text)) > PACK_TOKENS and pack:
            yield pack
            pack = []
        pack.append(text)
    if pack:
        yield pack


class _Sums:
    """Collects rows, [rows, channels], pack by pack."""

    def __init__(self, channels: int) -> None:
        self._rows = 0
        self._largest = np.zeros(channels, np.float32)
        self._total = np.zeros(channels)
        self._squares = np.zeros((channels, channels))

    def add(self, rows: Floats) -> None:
        """Take the rows of a pack."""
        wide = rows.astype(np.float64)
        self._rows += len(rows)
        self._largest = np.maximum(self._largest, np.abs(rows).max(axis=0))
        self._total += wide.sum(axis=0)
        self._squares += wide.T @ wide

    def observed(self) -> Observed:
        """What was collected."""
        mean = self._total / self._rows
        return Observed(self._largest, mean, self._squares / self._rows - np.outer(mean, mean))


def _observe(
    encoder: Encoder, layer: Layer, states: Sequence[Floats], masks: Sequence[NDArray[np.int64]]
) -> tuple[list[Observed], list[Floats]]:
    """What the inputs of a layer's four products are, and the states of the next layer."""
    opened = onnx_file.session(encoder_graph.observed_layer(encoder, layer))
    sums = [_Sums(len(linear.weight)) for linear in (layer.qkv, layer.output, layer.up, layer.down)]
    following = []
    for before, mask in zip(states, masks, strict=True):
        after, *inputs = opened.run(["y", *functions.OBSERVED], {"states": before, "attention_mask": mask})
        following.append(after)
        for collected, (rows,) in zip(sums, (before, *inputs), strict=True):
            collected.add(rows)
    return [collected.observed() for collected in sums], following


def _products(
    layer: Layer, states: Observed, attended: Observed, x: Observed, active: Observed
) -> LayerProducts:
    value_factors = _factors(attended, layer.output)
    qkv, output = _with_values_times(value_factors, layer)
    factors = Factors(_factors(states, qkv), _factors(x, layer.up))
    return LayerProducts(
        qkv=_product(_divided(qkv, factors.qkv), states.scaled(factors.qkv)),
        output=_product(output, attended.scaled(value_factors)),
        up=_product(_divided(layer.up, factors.up), x.scaled(factors.up)),
        down=_product(layer.down, active),
        factors=factors,
    )


def _factors(inputs: Observed, linear: Linear) -> Floats:
    """What each input channel of a product is multiplied by."""
    return balance.of_product(inputs.largest, np.abs(linear.weight).max(axis=1))


def _with_values_times(factors: Floats, layer: Layer) -> tuple[Linear, Linear]:
    """The product qkv whose values are multiplied by factors, and the product that takes them off again."""
    columns = np.ones(3 * len(factors), np.float32)
    columns[2 * len(factors) :] = factors
    return Linear(layer.qkv.weight * columns, layer.qkv.bias * columns), _divided(layer.output, factors)


def _divided(linear: Linear, factors: Floats) -> Linear:
    """A product whose input is multiplied by factors."""
    return Linear(linear.weight / factors[:, None], linear.bias)


def _product(linear: Linear, inputs: Observed) -> Product:
    weight, scale, sums = rounding.round_channels(linear.weight, inputs.covariance)
    errors = linear.weight.astype(np.float64) - scale.astype(np.float64) * weight
    return Product(weight, scale, sums, (linear.bias + inputs.mean @ errors).astype(np.float32))
