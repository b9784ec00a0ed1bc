"""The four products of a layer, as ``EncoderLayer`` takes them."""

from collections.abc import Callable

import msgspec
import numpy as np

from embed_onnx_export.graph import int8
from embed_onnx_export.graph.bert.families import Linear, Linears
from embed_onnx_export.graph.int8 import Floats, Integers


class Product(msgspec.Struct, frozen=True):
    """weight [inputs, outputs]; its scales, the sums of its scaled columns, and the bias, [outputs]."""

    weight: Integers | Floats
    scale: Floats
    sum: Floats
    bias: Floats


class Factors(msgspec.Struct, frozen=True):
    """What the inputs of two products are multiplied by before they are quantised, [width]."""

    qkv: Floats
    up: Floats


class LayerProducts(msgspec.Struct, frozen=True, kw_only=True):
    """The products of a layer; without ``factors``, their inputs are taken as they are."""

    qkv: Product
    output: Product
    up: Product
    down: Product
    factors: Factors | None = None


def nearest(layer: Linears) -> LayerProducts:
    """The products of a layer with weights rounded to the nearest, without calibration."""
    return _products(layer, nearest_product)


def float32(layer: Linears) -> LayerProducts:
    """The products of a layer with the weights as they are."""
    return _products(layer, float32_product)


def nearest_product(linear: Linear) -> Product:
    """One product with weights rounded to the nearest."""
    return Product(*int8.quantize_channels(linear.weight), linear.bias)


def float32_product(linear: Linear) -> Product:
    """One product with the weights as they are, for functions that read no scales or sums."""
    return Product(linear.weight, np.ones_like(linear.bias), linear.weight.sum(axis=0), linear.bias)


def _products(layer: Linears, product: Callable[[Linear], Product]) -> LayerProducts:
    return LayerProducts(
        qkv=product(layer.qkv), output=product(layer.output), up=product(layer.up), down=product(layer.down)
    )
