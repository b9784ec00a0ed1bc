"""head.onnx: what comes between the pooling and the last Normalize, as one small float32 graph.

pooled float32 [1, width] -> vector float32 [1, dimensions]; or, of a model of token vectors,
states float32 [tokens, width] -> vectors float32 [tokens, dimensions]
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, parser

from embed_onnx_export.graph.bert.functions import DOMAIN, IR_VERSION, OPSET
from embed_onnx_export.graph.int8 import Floats

ACTIVATIONS = {
    "CELU": "y = Celu (x)",
    "ELU": "y = Elu (x)",
    "GELU": "y = Gelu (x)",
    "Hardshrink": "y = Shrink <lambd = 0.5> (x)",
    "Hardsigmoid": "y = HardSigmoid <alpha = 0.16666667> (x)",
    "Hardswish": "y = HardSwish (x)",
    "Hardtanh": "low = Constant <value_float = -1.0> () high = Constant <value_float = 1.0> () "
    "y = Clip (x, low, high)",
    "Identity": "y = Identity (x)",
    "LeakyReLU": "y = LeakyRelu <alpha = 0.01> (x)",
    "LogSigmoid": "negative = Neg (x) soft = Softplus (negative) y = Neg (soft)",
    "LogSoftmax": "y = LogSoftmax <axis = -1> (x)",
    "Mish": "soft = Softplus (x) gate = Tanh (soft) y = Mul (x, gate)",
    "PReLU": "y = PRelu (x, slope)",
    "RReLU": "y = LeakyRelu <alpha = 0.22916667> (x)",
    "ReLU": "y = Relu (x)",
    "ReLU6": "low = Constant <value_float = 0.0> () high = Constant <value_float = 6.0> () "
    "y = Clip (x, low, high)",
    "SELU": "y = Selu (x)",
    "SiLU": "gate = Sigmoid (x) y = Mul (x, gate)",
    "Sigmoid": "y = Sigmoid (x)",
    "Softmax": "y = Softmax <axis = -1> (x)",
    "Softmin": "negative = Neg (x) y = Softmax <axis = -1> (negative)",
    "Softplus": "y = Softplus (x)",
    "Softshrink": "y = Shrink <lambd = 0.5, bias = 0.5> (x)",
    "Softsign": "y = Softsign (x)",
    "Tanh": "y = Tanh (x)",
    "Tanhshrink": "bounded = Tanh (x) y = Sub (x, bounded)",
}
"""What each class of torch.nn computes outside training, with its default parameters, of x [1, width]."""
SLOPED = "PReLU"
"""The one that has a parameter, ``slope`` [1] or [width]."""
NORM_EPSILON = 1e-5
"""Of LayerNorm, as torch.nn has it by default and sentence-transformers leaves it."""
LENGTH_EPSILON = 1e-12
"""The least length that a vector is divided by, as in torch.nn.functional.normalize."""


class Dense(msgspec.Struct, frozen=True, kw_only=True):
    """activation(W x + b) + R x: ``weight`` [outputs, inputs], ``bias`` [outputs] or None.

    ``activation`` is a name of ``ACTIVATIONS``. ``residual``: whether R x is added; R is the identity where
    ``residual_weight`` [outputs, inputs] is None.
    """

    weight: Floats
    bias: Floats | None
    activation: str
    slope: Floats | None = None
    residual: bool = False
    residual_weight: Floats | None = None


class LayerNorm(msgspec.Struct, frozen=True):
    """gamma, beta [width]."""

    gamma: Floats
    beta: Floats


class Normalize(msgspec.Struct, frozen=True):
    """Division by the length."""


Step = Dense | LayerNorm | Normalize


def write(steps: Sequence[Step], width: int, path: Path, *, by_token: bool = False) -> None:
    """Write the graph of steps that take vectors of ``width`` numbers: one, or one a token."""
    graph = _Graph()
    x, vector, count = ("states", "vectors", "tokens") if by_token else ("pooled", "vector", 1)
    start = helper.make_tensor_value_info(x, TensorProto.FLOAT, [count, width])
    for step in steps:
        x = graph.add(step, x)
    graph.node("Identity", [x], vector)
    dense = [step for step in steps if isinstance(step, Dense)]
    dimensions = len(dense[-1].weight) if dense else width
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "head",
            [start],
            [helper.make_tensor_value_info(vector, TensorProto.FLOAT, [count, dimensions])],
            graph.initializers,
        ),
        functions=[_function(name) for name in sorted({step.activation for step in dense})],
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)],
        ir_version=IR_VERSION,
    )
    onnx.save(model, path)


def _function(activation: str) -> onnx.FunctionProto:
    inputs = "x, slope" if activation == SLOPED else "x"
    return parser.parse_function(
        f'<domain: "{DOMAIN}", opset_import: ["" : {OPSET}]> '
        f"{activation} ({inputs}) => (y) {{ {ACTIVATIONS[activation]} }}"
    )


class _Graph:
    """Nodes and initializers; what adds a node returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def add(self, step: Step, x: str) -> str:
        match step:
            case Dense():
                return self._dense(step, x)
            case LayerNorm(gamma, beta):
                inputs = [x, self._store(gamma), self._store(beta)]
                return self.node("LayerNormalization", inputs, epsilon=NORM_EPSILON)
            case Normalize():
                length = self.node("ReduceL2", [x, self._store(np.array([-1], np.int64))])
                least = self._store(np.array(LENGTH_EPSILON, np.float32))
                return self.node("Div", [x, self.node("Max", [length, least])])

    def _dense(self, step: Dense, x: str) -> str:
        slope = [] if step.slope is None else [self._store(step.slope)]
        product = self._product(step.weight, step.bias, x)
        active = self.node(step.activation, [product, *slope], domain=DOMAIN)
        if not step.residual:
            return active
        added = x if step.residual_weight is None else self._product(step.residual_weight, None, x)
        return self.node("Add", [active, added])

    def _product(self, weight: Floats, bias: Floats | None, x: str) -> str:
        inputs = [x, self._store(weight), *([] if bias is None else [self._store(bias)])]
        return self.node("Gemm", inputs, transB=1)

    def node(
        self, kind: str, inputs: list[str], output: str = "", domain: str = "", **attributes: Any
    ) -> str:
        name = output or f"step.{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, domain=domain, **attributes))
        return name

    def _store(self, array: NDArray[np.float32] | NDArray[np.int64]) -> str:
        name = f"constant.{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name
