"""Whole models of random weights for the kernels: embeddings and layers one after another."""

from dataclasses import dataclass, field, replace

import numpy as np
import onnx
from kernel_operators import Case, Shape, embeddings_case, layer_case, limited, model_of
from kernel_reference import Array, Floats, embeddings, layer


@dataclass(frozen=True)
class Model:
    """Random embeddings and layers, with everything that an input of ids needs."""

    shape: Shape
    positions: int
    layers: int = 2
    activation: str = "gelu"
    limited: bool = False
    after_padding: bool = False
    seed: int = 0
    parts: list[Case] = field(init=False)

    def __post_init__(self) -> None:
        nothing = np.zeros((1, 0), np.int64)
        parts = [
            embeddings_case(
                self.shape.width, self.positions, nothing, after_padding=self.after_padding, seed=self.seed
            )
        ]
        parts += [
            layer_case(self.shape, nothing, activation=self.activation, seed=self.seed + number)
            for number in range(1, self.layers + 1)
        ]
        if self.limited:
            parts = [replace(part, weights=limited(part.weights)) for part in parts]
        object.__setattr__(self, "parts", parts)

    def expected(self, input_ids: Array, attention_mask: Array) -> Floats:
        first, *layers = self.parts
        states = embeddings(first.weights, input_ids, attention_mask)
        for part in layers:
            states = layer(part.weights, part.attributes, states, attention_mask)
        return states

    def model(self) -> onnx.ModelProto:
        return model_of(self.parts)
