"""Models read from files alone are what PyTorch makes of the same files: by family, field, and weights."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import harness
import numpy as np
import pytest
import safetensors.torch
import small_models
import torch
import transformers
from checkpoints import load
from sentence_transformers import SentenceTransformer
from stacks import edit, save_all

from embed_onnx import Model, install
from embed_onnx.artifact import manifest
from embed_onnx.artifact.models_txt import Entry
from embed_onnx_export import parity
from embed_onnx_export.checkpoint import files, modules, sources
from embed_onnx_export.checkpoint.description import Description
from embed_onnx_export.checkpoint.files import Files
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import compare, encoders, onnx_file
from embed_onnx_export.graph.bert import families
from embed_onnx_export.graph.encoders import Encoder

FAMILIES: dict[str, dict[str, Any]] = {
    **{name: {} for name in small_models.ARCHITECTURES},
    "electra": {"embedding_size": small_models.WIDTH},
    "modernbert": {},
}
"""Each, and what makes its small model one that is read without PyTorch."""
WEIGHTS = "model.safetensors"


def read(folder: Path) -> Files:
    checkpoint = sources.find(Entry(name=folder.name, repo=folder.name, folder=folder))
    return files.read(checkpoint, modules.read(checkpoint))


def assert_same(folder: Path, tmp_path: Path) -> None:
    """What is read without PyTorch is what sentence-transformers loads: facts, token ids and states."""
    original, model = load(folder), read(folder)

    for name in Description.__struct_fields__:
        if name not in {"tokenizer", "head"}:
            assert getattr(original, name) == getattr(model.description, name), name
    texts = [*parity.sentences(), *parity.messages(original.tokenizer)]
    ids = [original.torch[0].tokenizer(text, truncation=False)["input_ids"] for text in texts]
    tokenizer = model.description.tokenizer
    tokenizer.no_truncation()
    tokenizer.no_padding()
    assert ids == [tokenizer.encode(text).ids for text in texts]
    assert isinstance(model.states, Encoder)
    path = tmp_path / "float32.onnx"
    encoders.write_float32(model.states, path)
    transformer = original.torch[0].auto_model
    encoders.check(model.states, path, compare.of_pytorch(transformer))
    sample = np.array([[5, 6, 7, 0, 1, 2, 3, 4, 9]])
    expected = compare.of_pytorch(transformer)(sample, np.ones_like(sample))
    actual = onnx_file.states(onnx_file.session(path), sample, np.ones_like(sample))
    np.testing.assert_allclose(expected, actual, atol=2e-5)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of each family, and of each stack below ``stacks``."""
    folder = tmp_path_factory.mktemp("families")
    for name, changes in FAMILIES.items():
        small_models.save(folder / name, name, **changes)
    save_all(folder / "stacks")
    return folder


@pytest.fixture
def bert(saved: Path, tmp_path: Path) -> Path:
    """A copy of BERT, for a test to change."""
    return Path(shutil.copytree(saved / "bert", tmp_path / "bert"))


@pytest.mark.parametrize("architecture", FAMILIES)
def test_a_family_is_what_pytorch_loads(saved: Path, tmp_path: Path, architecture: str) -> None:
    assert_same(saved / architecture, tmp_path)


@pytest.mark.parametrize("name", ["modes", "unpooled", "long", "truncated", "lowered", "transformer"])
def test_a_stack_is_what_pytorch_loads(saved: Path, tmp_path: Path, name: str) -> None:
    assert_same(saved / "stacks" / name, tmp_path)


def change_weights(folder: Path, change: Callable[[str, torch.Tensor], tuple[str, torch.Tensor]]) -> None:
    """Change names and tensors of the weights."""
    tensors = safetensors.torch.load_file(folder / WEIGHTS)
    changed = dict(change(name, tensor) for name, tensor in tensors.items())
    safetensors.torch.save_file(changed, folder / WEIGHTS, {"format": "pt"})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_weights_of_other_widths(bert: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    change_weights(bert, lambda name, tensor: (name, tensor.to(dtype)))

    assert_same(bert, tmp_path)


def test_weights_in_shards(bert: Path, tmp_path: Path) -> None:
    model = transformers.AutoModel.from_pretrained(bert)
    (bert / WEIGHTS).unlink()
    model.save_pretrained(bert, max_shard_size="40KB")

    assert len(list(bert.glob("model-*.safetensors"))) > 1
    assert_same(bert, tmp_path)


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "mpnet", "roberta", "electra"])
def test_weights_saved_as_a_part_of_another_model(saved: Path, tmp_path: Path, architecture: str) -> None:
    """With a prefix, and with the parameters of a head beside them."""
    folder = Path(shutil.copytree(saved / architecture, tmp_path / architecture))
    prefix = families.FAMILIES[architecture].prefix
    change_weights(folder, lambda name, tensor: (prefix + name, tensor))
    tensors = safetensors.torch.load_file(folder / WEIGHTS) | {"lm_head.bias": torch.ones(3)}
    safetensors.torch.save_file(tensors, folder / WEIGHTS, {"format": "pt"})

    assert_same(folder, tmp_path)


def test_old_names_of_norms(bert: Path, tmp_path: Path) -> None:
    """As checkpoints of TensorFlow's days have them; a buffer that was saved is no parameter."""

    def old(name: str, tensor: torch.Tensor) -> tuple[str, torch.Tensor]:
        return re.sub(r"LayerNorm\.weight$", "LayerNorm.gamma", name).replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ), tensor

    change_weights(bert, old)
    tensors = safetensors.torch.load_file(bert / WEIGHTS)
    tensors["embeddings.position_ids"] = torch.arange(small_models.MAX_TOKENS)[None]
    safetensors.torch.save_file(tensors, bert / WEIGHTS, {"format": "pt"})

    assert_same(bert, tmp_path)


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        *[("bert", {"hidden_act": name}) for name in ("relu", "silu", "gelu_new", "gelu_fast")],
        ("distilbert", {"activation": "relu"}),
        ("bert", {"layer_norm_eps": 0.1}),
        ("mpnet", {"layer_norm_eps": 0.1}),
        ("bert", {"num_attention_heads": 8}),
        ("distilbert", {"n_heads": 8, "n_layers": 1}),
        ("bert", {"num_hidden_layers": 1, "intermediate_size": 40}),
        ("bert", {"type_vocab_size": 5}),
        ("roberta", {"type_vocab_size": 2}),
        ("roberta", {"max_position_embeddings": 30}),
        ("xlm-roberta", {"pad_token_id": 0}),
        ("mpnet", {"max_position_embeddings": 600}),
    ],
    ids=str,
)
def test_a_field_of_the_config(tmp_path: Path, architecture: str, changes: dict[str, Any]) -> None:
    """Each means what it means to transformers; 600 positions have every bucket of MPNet's distances."""
    folder = small_models.save(tmp_path / "saved", architecture, **changes)

    assert_same(folder, tmp_path)


@pytest.mark.parametrize(
    "fields", [{"max_seq_length": 20}, {"max_seq_length": 20, "do_lower_case": True}], ids=str
)
def test_settings_of_sentence_transformers(bert: Path, tmp_path: Path, fields: dict[str, Any]) -> None:
    edit(bert / "sentence_bert_config.json", **fields)

    assert_same(bert, tmp_path)
    assert 20 == read(bert).description.max_tokens


@pytest.mark.parametrize(
    ("file", "fields", "reason"),
    [
        (
            "config.json",
            {"position_embedding_type": "relative_key"},
            "position_embedding_type is relative_key",
        ),
        ("config.json", {"is_decoder": True}, "it is a decoder"),
        ("config.json", {"pruned_heads": {"0": [1]}}, "its pruned_heads is"),
        ("config.json", {"hidden_act": "quick_gelu"}, "its activation is quick_gelu"),
        ("config.json", {"window": 8}, "config.json has window, of which it is not known"),
        ("config.json", {"hidden_size": 64}, "its hidden_size is 64, and its parameters have 32"),
        ("config.json", {"num_attention_heads": 5}, "not of 5 heads that make up 32"),
        ("config.json", {"num_hidden_layers": 3}, "it has no encoder.layer.2.attention"),
        ("config.json", {"num_hidden_layers": 1}, "it also has encoder.layer.1."),
        ("config.json", {"model_type": "ernie"}, "ernie is not of the BERT family"),
        (
            "sentence_bert_config.json",
            {"processing_kwargs": {"text": {"padding": 1}}},
            "processing_kwargs",
        ),
        ("tokenizer_config.json", {"split_special_tokens": True}, "sets split_special_tokens"),
        ("tokenizer_config.json", {"tokenizer_class": "BertJapaneseTokenizer"}, "a BertJapaneseTokenizer"),
        ("tokenizer_config.json", {"sep_token": "[END]"}, "names '[END]', which tokenizer.json lacks"),
    ],
)
def test_what_is_not_read_is_refused_by_name(
    bert: Path, file: str, fields: dict[str, Any], reason: str
) -> None:
    edit(bert / file, **fields)

    with pytest.raises(ExportError, match="cannot be exported without PyTorch") as refused:
        read(bert)

    assert reason in str(refused.value)
    assert install.command("export") in str(refused.value)


def test_a_checkpoint_without_tokenizer_json_is_refused(bert: Path) -> None:
    (bert / "tokenizer.json").unlink()

    with pytest.raises(ExportError, match=r"it has no tokenizer\.json; export it with PyTorch"):
        read(bert)


def test_ids_without_rows_are_refused(bert: Path) -> None:
    change_weights(
        bert, lambda name, tensor: (name, tensor[:9].clone() if "word_embeddings" in name else tensor)
    )
    edit(bert / "config.json", vocab_size=9)

    with pytest.raises(ExportError, match="a table of embeddings of 9 rows"):
        read(bert)


@pytest.fixture(scope="module")
def light(saved: Path) -> Path:
    """Artifacts of every family, of a table and of MiniLM, exported where PyTorch is not installed."""
    lines = [
        f"./{name}  name={name}-{precision}  precision={precision}"
        for name in (*FAMILIES, "stacks/static-dense", "stacks/long")
        for precision in ("float32", "int8")
    ]
    lines = [line.replace("name=stacks/", "name=") for line in lines]
    (saved / "models.txt").write_text("\n".join([harness.MINILM, *lines]))
    done = harness.run("export", cwd=saved, environment=harness.WITHOUT_PYTORCH)
    assert 0 == done.returncode, done.stderr
    return saved


@pytest.mark.parametrize("name", [*FAMILIES, "static-dense", "long"])
def test_without_pytorch_vectors_are_the_originals(light: Path, name: str) -> None:
    folder = light / name if name in FAMILIES else light / "stacks" / name
    texts = parity.sentences()
    original = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    expected = original.encode(texts, show_progress_bar=False)

    for precision, least in (("float32", 0.99999), ("int8", 0.999)):
        with Model.load(light / "artifacts" / f"{name}-{precision}", threads=1) as model:
            vectors = model.encode(texts)
            facts = model.manifest
        lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(expected, axis=1)
        assert ((vectors * expected).sum(axis=1) / lengths).min() >= least
        assert ("native", "float32 graph") == (facts.exporter, facts.reference)


def test_without_pytorch_int8_is_the_same_to_the_last_bit(light: Path, artifacts: Path) -> None:
    """As where PyTorch is installed, which the manifest of the other says."""
    one, other = (manifest.read(folder / harness.MINILM) for folder in (light / "artifacts", artifacts))

    assert one.sha256["model.onnx"] == other.sha256["model.onnx"]
    assert one.sha256["tokenizer.json"] == other.sha256["tokenizer.json"]
    assert one.reference == "float32 graph"
    assert str(other.reference).startswith("sentence-transformers ")
    for field in ("output", "max_tokens", "modules", "prompts"):
        assert getattr(one, field) == getattr(other, field)


def test_another_architecture_needs_pytorch(tmp_path: Path) -> None:
    """The sentence says which extra to install."""
    small_models.save(tmp_path / "albert", "albert")
    (tmp_path / "models.txt").write_text("./albert")

    done = harness.run("export", cwd=tmp_path, environment=harness.WITHOUT_PYTORCH)

    assert 1 == done.returncode
    assert "albert is not of the BERT family" in done.stderr
    assert install.command("export") in " ".join(done.stderr.split())
