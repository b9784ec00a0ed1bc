"""ONNX files: read, written and run; of a large model, the weights lie in a second file beside it."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, parser

from embed_onnx.artifact.manifest import DATA, MODEL
from embed_onnx_export.graph.bert.functions import DOMAIN
from embed_onnx_export.graph.int8 import Floats

LARGEST = 2**31 - 2**20
"""Bytes of one file: protobuf ends at 2 GB, less some room for the graph's own text. ``DATA`` has the weights
of a larger one."""


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write a file in the place of whatever was there, its weights beside it where they are too large."""
    beside = path.with_name(DATA)
    beside.unlink(missing_ok=True)  # it would be appended to
    size = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    onnx.save(model, path, save_as_external_data=size > LARGEST, location=DATA)


def copy(path: Path, folder: Path) -> None:
    """Copy a file, and its weights where they lie beside it, into a folder that has no model yet."""
    shutil.copy(path, folder / MODEL)
    if path.with_name(DATA).exists():
        shutil.copy(path.with_name(DATA), folder)


def read_by(nodes: Iterable[onnx.NodeProto]) -> Iterator[str]:
    """All that nodes read, the branches of an If included."""
    for node in nodes:
        yield from node.input
        for attribute in node.attribute:
            yield from read_by(attribute.g.node)


def ancestors(nodes: Sequence[onnx.NodeProto], names: Iterable[str]) -> list[onnx.NodeProto]:
    """Those of a graph's nodes, in their order, that tensors with these names need."""
    needed = set(names)
    used = []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            used.append(node)
            needed.update(read_by([node]))
    return used[::-1]


def add_functions(model: onnx.ModelProto, texts: Iterable[str]) -> None:
    """Define functions of our own domain in a model, by their texts."""
    model.functions.extend(map(parser.parse_function, texts))
    if DOMAIN not in {one.domain for one in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))


def drop_unused_initializers(graph: onnx.GraphProto) -> None:
    """Keep the initializers that nodes read."""
    used = set(read_by(graph.node))
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def session(model: Path | onnx.ModelProto) -> ort.InferenceSession:
    """A file, or a model of less than 2 GB, opened on one core."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    opened = str(model) if isinstance(model, Path) else model.SerializeToString()
    return ort.InferenceSession(opened, options, providers=["CPUExecutionProvider"])


def states(opened: ort.InferenceSession, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Floats:
    """Ids and mask [batch, tokens] to states [batch, tokens, width]."""
    arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    (hidden,) = opened.run(None, {argument.name: arrays[argument.name] for argument in opened.get_inputs()})
    return np.asarray(hidden, np.float32)
