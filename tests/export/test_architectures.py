"""Architectures without kernels: exported by the real pipeline, they are what PyTorch says, or refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import kept
import numpy as np
import onnx
import pytest
import safetensors.torch
import small_models
import torch
from msgspec.structs import replace
from small_models import OTHER_TOKENS

from embed_onnx import Model
from embed_onnx.artifact import manifest
from embed_onnx.artifact.models_txt import Entry
from embed_onnx_export import parity
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import onnx_file
from embed_onnx_export.run import export_all

TESTED = (
    "albert", "big_bird", "deberta-v2", "electra", "ernie", "eurobert", "gemma3_text", "gpt2", "gte", "llama",
    "mistral", "mobilebert", "nomic_bert", "qwen2", "qwen3", "roformer", "t5",
)  # fmt: skip
"""Each has something that no other has: shared layers, windows, relative positions, Gemm nodes, ..."""
FLOAT32 = ("eurobert", "qwen3")
"""Left as float32 too; the others were float32, and compared, before they were quantised."""
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning"),
]
"""By transformers' code for DeBERTa, when it is imported."""
architectures = pytest.mark.parametrize("name", TESTED)


def entry(folder: Path, **fields: Any) -> Entry:
    return Entry(**{"name": folder.name, "repo": folder.name, "folder": folder, **fields})


@pytest.fixture(scope="module")
def workshop() -> Path:
    """Checkpoints, and their artifacts."""
    return kept.folder(checkpoints)


def checkpoints(folder: Path) -> None:
    entries = [entry(small_models.save(folder / name, name)) for name in TESTED]
    entries += [entry(folder / name, name=f"{name}-float32", precision="float32") for name in FLOAT32]
    export_all(entries, folder / "artifacts", force=False)


def texts() -> list[str]:
    """Of lengths up to the limit and one beyond it, more than any window, and the parity sentences."""
    lengths = (1, 5, 31, 32, 33, 70, 120, 157, 158, 159, 300)
    return [*(" ".join(["a"] * words) for words in lengths), *parity.sentences()]


def cosines(workshop: Path, name: str, artifact: str) -> np.ndarray:
    """Of the artifact's vectors to those of sentence-transformers, as it loads the checkpoint by itself."""
    from sentence_transformers import SentenceTransformer

    original = SentenceTransformer(str(workshop / name), device="cpu")
    expected = original.encode(texts(), batch_size=1, show_progress_bar=False)
    with Model.load(workshop / "artifacts" / artifact) as model:
        return np.einsum("td,td->t", expected, model.encode(texts()))


@architectures
def test_int8_is_near_its_original(workshop: Path, name: str) -> None:
    """Random weights are kinder to int8 than trained ones; the floors are those of every export."""
    actual = manifest.read(workshop / "artifacts" / name)

    assert parity.FLOORS["int8"].least < cosines(workshop, name, name).min()
    assert OTHER_TOKENS == actual.max_tokens
    reason = {"electra": "it also has embeddings_project.bias"}.get(name, f"{name} is not of the BERT family")
    assert reason == actual.quantization.no_kernel


@pytest.mark.parametrize("name", FLOAT32)
def test_float32_is_its_original(workshop: Path, name: str) -> None:
    assert 0.99999 < cosines(workshop, name, f"{name}-float32").min()


@architectures
def test_weights_are_stored_once_and_as_integers(workshop: Path, name: str) -> None:
    """Every product with weights and the word embeddings; float32 is left for norms and positions."""
    graph = onnx.load(workshop / "artifacts" / name / "model.onnx").graph
    arrays = {tensor.name: tensor for tensor in graph.initializer}

    floats = [node.op_type for node in graph.node if node.op_type in ("MatMul", "Gemm")
              for value in node.input if value in arrays and len(arrays[value].dims) == 2]  # fmt: skip
    contents = [tensor.raw_data for tensor in graph.initializer if len(tensor.raw_data) > 500]

    assert [] == floats
    assert any(node.op_type == "Linear" for node in graph.node)
    assert len(contents) == len(set(contents))


def refusal(tmp_path: Path, folder: Path) -> str:
    """The one sentence that an export ends with."""
    with pytest.raises(ExportError) as caught:
        export_all([entry(folder)], tmp_path / "artifacts", force=False)
    assert not (tmp_path / "artifacts" / folder.name).exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_fails_while_it_is_traced_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By name, with the reason in plain text and what to do; the exporter prints nothing besides."""
    sentence = refusal(tmp_path, small_models.save(tmp_path / "longformer", "longformer"))

    assert "torch.onnx fails on its architecture, longformer (" in sentence
    assert sentence.isprintable()
    assert "choose another architecture" in sentence
    printed = capsys.readouterr()
    assert "" == printed.out.strip()
    assert {"longformer"} == {line.partition(":")[0] for line in printed.err.splitlines()}


FNET = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64}
LANGUAGES = {"languages": ["en_XX"], "default_language": "en_XX"}
XMOD = {**small_models.SHAPE, **LANGUAGES, "max_position_embeddings": 162, "pad_token_id": 1}


@pytest.mark.parametrize(("prefix", "fields"), [("FNet", FNET), ("Xmod", XMOD)])
def test_graphs_depend_on_no_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str, fields: dict[str, Any]
) -> None:
    """A Fourier transform and adapters by language, which a trace of one length would freeze."""
    name = prefix.lower()
    monkeypatch.setitem(small_models.OTHERS, name, (prefix, fields))
    folder = small_models.save(tmp_path / name, name)

    export_all([entry(folder, precision="float32")], tmp_path / "artifacts", force=False)

    assert 0.99999 < cosines(tmp_path, name, name).min()


def test_positions_that_change_with_the_length_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the check of the config, and by the exporter if that did not know them."""
    from embed_onnx_export.graph import states

    dynamic = {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}, "max_position_embeddings": 64}
    folder = small_models.save(tmp_path / "model", "qwen3", **dynamic)
    settings = folder / "sentence_bert_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"max_seq_length": 160}))

    known = refusal(tmp_path, folder)
    careless = replace(states.EXPORTERS[0], refusal=lambda *_: None)
    monkeypatch.setattr(states, "EXPORTERS", (careless,))
    unknown = refusal(tmp_path, folder)

    assert "the rope_type in its rope_parameters is dynamic" in known
    assert "set max_seq_length to 64" in known
    assert "torch.onnx fails on its architecture, qwen3 (GuardOnDataDependentSymNode" in unknown


def test_block_sparse_attention_is_refused(tmp_path: Path) -> None:
    folder = small_models.save(tmp_path / "model", "big_bird", attention_type="block_sparse")

    assert 'set it to "original_full" in config.json' in refusal(tmp_path, folder)


def test_half_precision_weights_are_read_as_float32(workshop: Path, tmp_path: Path) -> None:
    """A checkpoint in bfloat16 gives an artifact of the same numbers in float32."""
    folder = tmp_path / "half"
    shutil.copytree(workshop / "electra", folder)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    halves = {name: tensor.to(torch.bfloat16) for name, tensor in weights.items()}
    safetensors.torch.save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16", "torch_dtype": "bfloat16"}))

    export_all([entry(folder, precision="float32")], tmp_path / "artifacts", force=False)

    graph = onnx.load(tmp_path / "artifacts" / "half" / "model.onnx").graph
    kinds = {tensor.data_type for tensor in graph.initializer}
    assert onnx.TensorProto.BFLOAT16 not in kinds
    assert onnx.TensorProto.FLOAT16 not in kinds


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("name", ["electra", "bert"])
def test_weights_of_more_than_two_gigabytes_lie_in_a_second_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, precision: str
) -> None:
    """Here, of more than a few bytes; the second file has its sha256 too, and the model runs."""
    monkeypatch.setattr(onnx_file, "LARGEST", 1000)
    folder = small_models.save(tmp_path / name, name)

    export_all([entry(folder, precision=precision)], tmp_path / "artifacts", force=False)

    result = tmp_path / "artifacts" / name
    actual = manifest.read(result)
    manifest.verify(actual, result)
    assert {"model.onnx", "model.onnx.data", "tokenizer.json", "ranges.json", "manifest.json"} == set(
        actual.sha256
    )
    assert set(actual.sha256) == {path.name for path in result.iterdir()}
    assert (result / "model.onnx.data").stat().st_size > 20_000
    assert actual.float32_bytes > 100_000
    with Model.load(result) as model:
        assert (1, small_models.WIDTH) == model.encode(["a text"]).shape
