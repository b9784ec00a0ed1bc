"""What is not served exactly is refused before it is loaded, by its name, with what can be done."""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import stacks
import torch
from checkpoints import Bomb, load, refusal
from sentence_transformers.sentence_transformer.modules import Dropout, Normalize, Pooling
from small_models import WIDTH
from stacks import edit


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that is right: Transformer, Pooling, Dense, LayerNorm, Dropout, Normalize."""
    folder = tmp_path_factory.mktemp("whole")
    chain = [
        stacks.transformer(folder / "transformer"),
        Pooling(WIDTH),
        stacks.dense(WIDTH, 16),
        stacks.norm(16),
        Dropout(),
        Normalize(),
    ]
    return stacks.save(folder / "saved", chain)


@pytest.fixture
def saved(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, for a test to spoil."""
    return Path(shutil.copytree(whole, tmp_path / "saved"))


def change_modules(folder: Path, change: dict[int, dict[str, str]], keep: tuple[int, ...] = ()) -> None:
    """Change entries of modules.json by their index, and keep only some."""
    path = folder / "modules.json"
    listed = [entry | change.get(index, {}) for index, entry in enumerate(json.loads(path.read_text()))]
    path.write_text(json.dumps([listed[index] for index in keep or range(len(listed))]))


def test_the_right_one_is_loaded(saved: Path) -> None:
    assert 16 == load(saved).dimensions


@pytest.mark.parametrize(
    ("kind", "way_out"),
    [
        ("sentence_transformers.models.WordEmbeddings", "StaticEmbedding is the table of words"),
        ("sentence_transformers.models.CNN", "serve it with sentence-transformers"),
        ("sentence_transformers.models.LSTM", "serve it with sentence-transformers"),
        ("sentence_transformers.models.WeightedLayerPooling", "serve it with sentence-transformers"),
        ("sentence_transformers.models.BoW", "counts of words"),
        ("sentence_transformers.models.CLIPModel", "images are not served"),
        ("sentence_transformers.models.Asym", "save the route that you need"),
        ("sentence_transformers.base.modules.router.Router", "save the route that you need"),
        (
            "sentence_transformers.sparse_encoder.models.SparseAutoEncoder",
            "serve it with sentence-transformers",
        ),
        ("custom_st.Transformer", "serve it with sentence-transformers"),
        ("os.system", "serve it with sentence-transformers"),
    ],
)
def test_other_modules_are_refused_by_name(saved: Path, kind: str, way_out: str) -> None:
    change_modules(saved, {2: {"type": kind}})

    sentence = refusal(saved)

    assert f"has the module {kind}, which is not served" in sentence
    assert way_out in sentence


@pytest.mark.parametrize(
    ("keep", "chain"),
    [
        ((0,), "Transformer"),
        ((1, 0), "Pooling, Transformer"),
        ((0, 1, 1), "Transformer, Pooling, Pooling"),
        ((0, 2, 1), "Transformer, Dense, Pooling"),
    ],
)
def test_other_chains_are_refused(saved: Path, keep: tuple[int, ...], chain: str) -> None:
    change_modules(saved, {}, keep)

    assert f"saved chains {chain}; served is Transformer and Pooling" in refusal(saved)


def test_another_kind_of_model(saved: Path) -> None:
    edit(saved / "config_sentence_transformers.json", model_type="SparseEncoder")

    assert "is a SparseEncoder" in refusal(saved)


def test_a_path_out_of_the_folder(saved: Path) -> None:
    change_modules(saved, {2: {"path": "../elsewhere"}})

    assert "has the path '../elsewhere', which leaves the folder" in refusal(saved)


def test_shards_out_of_the_folder(saved: Path) -> None:
    """The weights of another model that lies beside it."""
    (saved / "model.safetensors").rename(saved.parent / "other.safetensors")
    index = {"metadata": {}, "weight_map": {"a": "../other.safetensors"}}
    (saved / "model.safetensors.index.json").write_text(json.dumps(index))

    assert "names the file '../other.safetensors', which leaves the folder" in refusal(saved)


@pytest.mark.parametrize("module", ["", "2_Dense", "3_LayerNorm"], ids=["transformer", "dense", "norm"])
def test_missing_weights(saved: Path, module: str) -> None:
    (saved / module / "model.safetensors").unlink()

    sentence = refusal(saved)

    assert "has no .safetensors weights of its" in sentence
    assert "get it again, or save it again" in sentence


def test_weights_that_lack_some(saved: Path) -> None:
    """Transformers would make them up, other ones at every start."""
    tensors = safetensors.numpy.load_file(saved / "model.safetensors")
    name = next(name for name in tensors if name.endswith("layer.1.output.dense.weight"))
    del tensors[name]
    safetensors.numpy.save_file(tensors, saved / "model.safetensors", {"format": "pt"})

    assert f"lack 1 parameters, {name} among them, which would be random" in refusal(saved)


@pytest.mark.parametrize("prefix", ["", "bert."], ids=["alone", "of-a-larger-model"])
def test_weights_that_have_more(saved: Path, prefix: str) -> None:
    """Transformers would leave them out; heads, and buffers of old versions, are no matter."""
    tensors = safetensors.numpy.load_file(saved / "model.safetensors")
    bias = tensors["encoder.layer.1.output.dense.bias"]
    tensors |= {"embeddings.position_ids": np.zeros((1, 48), np.int64), "cls.predictions.bias": bias}

    def save() -> None:
        named = {prefix + name if not name.startswith("cls.") else name: tensors[name] for name in tensors}
        safetensors.numpy.save_file(named, saved / "model.safetensors", {"format": "pt"})

    save()
    assert 16 == load(saved).dimensions
    tensors |= {"encoder.layer.2.output.dense.bias": bias, "encoder.layer.0.adapter.bias": bias}
    save()

    sentence = refusal(saved)
    assert "have 2 parameters that its config.json has no place for" in sentence
    assert f"{prefix}encoder.layer.0.adapter.bias among them" in sentence


@pytest.mark.parametrize("module", ["", "2_Dense", "3_LayerNorm"], ids=["transformer", "dense", "norm"])
def test_pickles_are_never_read(saved: Path, module: str) -> None:
    """Of no module: not by us, and not by the libraries that would take what is there."""
    (saved / module / "model.safetensors").unlink()
    (saved / module / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(saved / "ran")))

    assert "pickles are never read" in refusal(saved)
    assert not (saved / "ran").exists()


def test_the_command_that_converts_pickles(saved: Path, tmp_path: Path) -> None:
    """A note says so, and it works."""
    dense = saved / "2_Dense"
    torch.save(dict(load(saved).torch[2].state_dict()), dense / "pytorch_model.bin")
    (dense / "model.safetensors").unlink()
    code = refusal(saved).partition('python -c "')[2].removesuffix('"')

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert 0 == done.returncode, done.stderr
    assert 16 == load(tmp_path / "saved-safetensors").dimensions


@pytest.mark.parametrize(
    "file",
    [
        *("modules.json", "config.json", "config_sentence_transformers.json", "tokenizer_config.json"),
        *("sentence_bert_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json"),
        *("1_Pooling/config.json", "2_Dense/config.json"),
    ],
)
@pytest.mark.parametrize("content", ["{", "", "\xff", "[" * 100_000], ids=["cut", "empty", "bytes", "deep"])
def test_damaged_configs(saved: Path, file: str, content: str) -> None:
    (saved / file).write_text(content, encoding="latin-1")

    assert f"{saved / file} cannot be read: " in refusal(saved)


@pytest.mark.parametrize("file", ["train.json", "2_Dense/train.json"])
def test_files_that_are_no_part_of_a_model(saved: Path, file: str) -> None:
    """Here, lines of JSON; whatever else lies beside a checkpoint is nobody's business."""
    (saved / file).write_text('{"text": "a"}\n{"text": "b"}\n')

    assert 16 == load(saved).dimensions


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("modules.json", "{}"),
        ("modules.json", '[{"type": 3}]'),
        ("config.json", "[]"),
        ("config_sentence_transformers.json", '{"truncate_dim": "many"}'),
        ("config_sentence_transformers.json", '{"prompts": ["a"]}'),
        ("2_Dense/config.json", '{"in_features": 32}'),
        ("2_Dense/config.json", '{"in_features": 32, "out_features": 16, "gate": true}'),
    ],
)
def test_configs_that_are_something_else(saved: Path, file: str, content: str) -> None:
    (saved / file).write_text(content)

    assert f"{saved / file} cannot be read: " in refusal(saved)


@pytest.mark.parametrize("content", ["", "{}", '{"version": "1.0", "model": {"type": "None"}}', "cut"])
def test_a_damaged_tokenizer(saved: Path, content: str) -> None:
    path = saved / "tokenizer.json"
    path.write_text(path.read_text()[:500] if content == "cut" else content)

    sentence = refusal(saved)

    assert f"{path} " in sentence
    assert "get the checkpoint again" in sentence


@pytest.mark.parametrize(
    ("file", "fields", "sentence"),
    [
        (
            "1_Pooling",
            {"embedding_dimension": 64},
            "its Pooling takes 64 numbers, and the Transformer before",
        ),
        (
            "2_Dense",
            {"in_features": 64},
            "linear.weight of the shape (16, 32), and its config.json says (16, 64)",
        ),
        (
            "2_Dense",
            {"out_features": 8},
            "linear.weight of the shape (16, 32), and its config.json says (8, 32)",
        ),
        ("2_Dense", {"use_residual": True}, "residual.weight of the shape none"),
        ("2_Dense", {"module_input_name": "token_embeddings"}, "reads or writes token_embeddings"),
        ("2_Dense", {"module_output_name": "other"}, "reads or writes other"),
        ("2_Dense", {"activation_function": "custom.Swish"}, "has the activation custom.Swish"),
        ("2_Dense", {"activation_function": "torch.nn.Nothing"}, "has the activation torch.nn.Nothing"),
        ("2_Dense", {"activation_function": "torch.hub.load"}, "has the activation torch.hub.load"),
        (
            "2_Dense",
            {"activation_function": "torch.nn.GLU"},
            "the activation torch.nn.GLU, which",
        ),
        ("2_Dense", {"activation_function": "torch.nn.Threshold"}, "has the activation torch.nn.Threshold"),
    ],
)
def test_modules_that_are_not_what_they_say(
    saved: Path, file: str, fields: dict[str, object], sentence: str
) -> None:
    edit(saved / file / "config.json", **fields)

    assert sentence in refusal(saved)


def test_modules_that_do_not_fit_together(saved: Path) -> None:
    """Each is right by itself."""
    stacks.dense(24, 16).save(str(saved / "2_Dense"))

    assert "its Dense takes 24 numbers, and the Pooling before it gives 32" in refusal(saved)


def test_adapters(saved: Path) -> None:
    (saved / "adapter_config.json").write_text('{"peft_type": "LORA"}')

    assert "merge it with PEFT's merge_and_unload()" in refusal(saved)


def test_adapters_of_tasks(saved: Path) -> None:
    """In the manner of Jina v3: without one, the model is that of no task."""
    for task in ("retrieval_query", "classification"):
        (saved / task).mkdir()
        (saved / task / "adapter_config.json").write_text('{"peft_type": "LORA"}')

    sentence = refusal(saved)
    assert "holds a PEFT adapter for each of classification, retrieval_query" in sentence
    assert "merge the one that you need" in sentence


def test_a_table_smaller_than_its_vocabulary(tmp_path: Path) -> None:
    folder = stacks.save(tmp_path / "static", [stacks.static()])
    table = safetensors.numpy.load_file(folder / "model.safetensors")["embedding.weight"]
    safetensors.numpy.save_file({"embeddings": table[:9]}, folder / "model.safetensors")

    assert "has a table of the shape (9, 24), and the tokenizer" in refusal(folder)


def test_a_plain_model_may_bring_no_code_either(saved: Path) -> None:
    (saved / "modules.json").unlink()
    edit(saved / "config.json", auto_map={"AutoModel": "own.Model"})

    assert "remote code is never run" in refusal(saved)
