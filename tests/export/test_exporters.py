"""The table of exporters: the first that can is used, and all reasons are named where none can."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import small_models
import torch
import transformers
from sentence_transformers import SentenceTransformer

from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import compare, onnx_file, states
from embed_onnx_export.graph.bert import encoder_graph
from embed_onnx_export.graph.exporters import torch_export, traced
from embed_onnx_export.graph.states import Exporter

EAGER = {"attn_implementation": "eager"}


class Module:
    """A transformer as sentence-transformers wraps one, as far as exporters need."""

    def __init__(self, model: Any) -> None:
        self.auto_model = model


def from_weights(module: Module, path: Path) -> None:
    """An exporter that needs no tracing."""
    onnx_file.save(encoder_graph.build(small_models.encoder(module.auto_model), quantized=False), path)


def refusing(name: str) -> Exporter:
    return Exporter(name=name, refusal=lambda *_: f"it is not for {name}", write=lambda *_: None)


def test_the_first_exporter_that_can_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = Exporter(name="weights", refusal=lambda *_: None, write=from_weights)
    monkeypatch.setattr(states, "EXPORTERS", (refusing("one"), exporter, refusing("two")))
    model = small_models.build("bert")

    states.write(Module(model), tmp_path / "model.onnx", max_tokens=48)

    ids = np.array([[5, 6, 7]])
    graph = onnx_file.session(tmp_path / "model.onnx")
    actual = onnx_file.states(graph, ids, np.ones_like(ids))
    np.testing.assert_allclose(compare.of_pytorch(model)(ids, np.ones_like(ids)), actual, atol=1e-4)


def test_every_exporter_says_why_it_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "EXPORTERS", (refusing("one"), refusing("two")))

    with pytest.raises(ExportError, match=r"^it is not for one; it is not for two$"):
        states.write(Module(small_models.build("bert")), tmp_path / "model.onnx", max_tokens=48)


def test_whatever_exporter_wrote_a_graph_it_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights of another model, which no reason would have named."""
    other = small_models.build("distilbert")
    wrong = Exporter(
        name="wrong",
        refusal=lambda *_: None,
        write=lambda _, path: from_weights(Module(other), path),
    )
    monkeypatch.setattr(states, "EXPORTERS", (wrong,))

    with pytest.raises(ExportError, match=r"architecture, bert, gives states of 1 tokens that are .*PyTorch"):
        states.write(Module(small_models.build("bert")), tmp_path / "model.onnx", max_tokens=48)


def test_the_longest_text_is_compared_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph has other positions than its original, but only beyond the other lengths."""
    limit = compare.COMPARED_TOKENS[-1] + 100
    folder = small_models.save(tmp_path / "bert", num_hidden_layers=1, max_position_embeddings=limit)
    original, other = (SentenceTransformer(str(folder), device="cpu", model_kwargs=EAGER)[0] for _ in "ab")
    with torch.no_grad():
        other.auto_model.embeddings.position_embeddings.weight[limit - 1] += torch.arange(small_models.WIDTH)
    wrong = Exporter(
        name="wrong", refusal=lambda *_: None, write=lambda _, path: torch_export.write(other, path)
    )
    monkeypatch.setattr(states, "EXPORTERS", (wrong,))

    with pytest.raises(ExportError, match=f"bert, gives states of {limit} tokens that are"):
        states.write(original, tmp_path / "model.onnx", max_tokens=limit)
    assert "eager" == original.auto_model.config._attn_implementation


def test_a_graph_of_one_length_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(module: Any, path: Path) -> None:
        from_weights(module, path)
        model = onnx.load(path)
        for tensor in model.graph.input:
            tensor.type.tensor_type.shape.dim[1].dim_value = 7
        onnx_file.save(model, path)

    fixed = Exporter(name="fixed", refusal=lambda *_: None, write=write)
    monkeypatch.setattr(states, "EXPORTERS", (fixed,))

    with pytest.raises(ExportError, match="the graph of its architecture, bert, fails for 1 tokens"):
        states.write(Module(small_models.build("bert")), tmp_path / "model.onnx", max_tokens=48)


@pytest.mark.parametrize(
    ("installed", "architecture", "refused"),
    [("4.57.6", "qwen3", True), ("4.57.6", "bert", False), ("5.0.0", "qwen3", False)],
)
def test_a_config_that_a_later_version_saved(
    monkeypatch: pytest.MonkeyPatch, installed: str, architecture: str, refused: bool
) -> None:
    """Transformers 4 reads it if it has none of the fields that are new in 5; any 5 reads it."""
    module = Module(small_models.build(architecture))
    module.auto_model.config.transformers_version = "5.24.0"
    monkeypatch.setattr(transformers, "__version__", installed)

    reason = traced.refusal(module, max_tokens=48) or ""

    sentence = (
        "was saved by transformers 5.24.0 and has rope_parameters, layer_types, and transformers 4.57.6"
    )
    assert refused == (sentence in reason)
    assert refused == bool(reason)


def test_texts_together_are_masked() -> None:
    """A row a text, padded to the longest."""
    texts = [compare._alone(np.full((1, length), length)) for length in (1, 3)]

    ids, mask = compare.together(texts)

    assert [[1, 0, 0], [3, 3, 3]] == ids.tolist()
    assert [[1, 0, 0], [1, 1, 1]] == mask.tolist()
