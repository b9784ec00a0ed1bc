"""A file in the making: nodes of our own domain, and the arrays that they take."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, parser

from embed_onnx_export.graph.bert import functions
from embed_onnx_export.graph.bert.families import Norm
from embed_onnx_export.graph.bert.products import Product

TOKENS = ("batch", "tokens")
"""The axes of ids and masks."""
IDS: dict[str, int | None] = {"input_ids": None, "attention_mask": None}
"""The inputs of a whole file."""


class Nodes:
    """Nodes and initializers; what stores arrays returns their names in the order of a node's inputs."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}

    def add(self, kind: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> str:
        """Add a node of our own domain; the name of its first output."""
        return self.add_standard(kind, inputs, *outputs, domain=functions.DOMAIN, **attributes)

    def add_standard(self, kind: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> str:
        """Add a node of ONNX's own operators; the name of its first output."""
        self._nodes.append(helper.make_node(kind, inputs, outputs, name=outputs[0], **attributes))
        return outputs[0]

    def store(self, name: str, array: NDArray[Any]) -> str:
        """Store an array, once."""
        if name not in self._initializers:
            self._initializers[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def product(self, name: str, product: Product) -> list[str]:
        """Store the arrays of a product."""
        arrays = {part: getattr(product, part) for part in ("weight", "scale", "sum", "bias")}
        return [self.store(f"{name}.{part}", array) for part, array in arrays.items()]

    def norm(self, name: str, norm: Norm) -> list[str]:
        """Store the arrays of a LayerNorm."""
        return [self.store(f"{name}.gamma", norm.gamma), self.store(f"{name}.beta", norm.beta)]

    def model(
        self,
        inputs: dict[str, int | None],
        outputs: dict[str, int],
        texts: Sequence[str],
        *,
        rows: Sequence[str] = TOKENS,
    ) -> onnx.ModelProto:
        """The file of the nodes, with these functions.

        Inputs and outputs are widths of states by name, None where it is token ids or a mask. ``rows`` are
        the axes of outputs before their widths.
        """
        graph = helper.make_graph(
            self._nodes,
            "encoder",
            [_described(name, TOKENS, width) for name, width in inputs.items()],
            [_described(name, rows, width) for name, width in outputs.items()],
            list(self._initializers.values()),
        )
        return helper.make_model(
            graph,
            functions=[parser.parse_function(text) for text in texts],
            opset_imports=[
                helper.make_opsetid("", functions.OPSET),
                helper.make_opsetid(functions.DOMAIN, 1),
            ],
            ir_version=functions.IR_VERSION,
        )


def _described(name: str, rows: Sequence[str], width: int | None) -> onnx.ValueInfoProto:
    if width is None:
        return helper.make_tensor_value_info(name, TensorProto.INT64, rows)
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [*rows, width])
