"""Safetensors files whose metadata name no framework, as other programs than transformers write them."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import small_models
import stacks
import torch
from checkpoints import load
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from small_models import WIDTH

from embed_onnx_export.checkpoint import weights

TEXTS = ["a small model", "reads a few words"]


def rewrite(path: Path, metadata: dict[str, str] | None) -> None:
    """The same tensors with other metadata."""
    safetensors.torch.save_file(safetensors.torch.load_file(path), path, metadata)


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"made": "elsewhere"}, id="without-format"),
        pytest.param({"format": "np"}, id="another-format"),
        pytest.param({"format": ""}, id="empty-format"),
        pytest.param(None, id="none"),
        pytest.param({"format": "pt"}, id="as-it-should-be"),
    ],
)
def test_every_file_of_a_checkpoint(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    """The transformer's and the Dense module's; the vectors are the same, and the files are left alone."""
    chain = [
        stacks.transformer(tmp_path / "transformer"),
        Pooling(WIDTH),
        stacks.dense(WIDTH, 16),
        Normalize(),
    ]
    saved = stacks.save(tmp_path / "saved", chain)
    expected = load(saved).torch.encode(TEXTS)
    files = list(saved.rglob("*.safetensors"))
    for path in files:
        rewrite(path, metadata)
    before = [path.read_bytes() for path in files]

    assert np.array_equal(expected, load(saved).torch.encode(TEXTS))
    assert len(files) == 2
    assert before == [path.read_bytes() for path in files]


def test_shards(tmp_path: Path) -> None:
    """Each has metadata of its own."""
    small_models.save(tmp_path / "saved")
    expected = load(tmp_path / "saved").torch.encode(TEXTS)
    load(tmp_path / "saved").torch[0].auto_model.save_pretrained(tmp_path / "saved", max_shard_size="20KB")
    (tmp_path / "saved/model.safetensors").unlink(missing_ok=True)
    shards = list((tmp_path / "saved").glob("model-*.safetensors"))
    for path in shards:
        rewrite(path, {"made": "elsewhere"})

    assert len(shards) > 1
    assert np.array_equal(expected, load(tmp_path / "saved").torch.encode(TEXTS))


def test_a_copy_has_the_same_tensors(tmp_path: Path) -> None:
    """And all other metadata; the other files are links, and nothing is left of it."""
    tensors = {"a": torch.arange(7, dtype=torch.float16), "b": torch.zeros(0), "c": torch.ones(3, 2)}
    safetensors.torch.save_file(tensors, tmp_path / "model.safetensors", {"made": "elsewhere"})
    (tmp_path / "config.json").write_text("{}")

    with weights.readable(tmp_path) as folder:
        with safetensors.safe_open(folder / "model.safetensors", "pt") as file:
            assert {"made": "elsewhere", "format": "pt"} == file.metadata()
        copy = safetensors.torch.load_file(folder / "model.safetensors")
        assert (folder / "config.json").is_symlink()

    assert tensors.keys() == copy.keys()
    assert all(torch.equal(tensors[name], copy[name]) for name in tensors)
    assert not folder.exists()


def test_a_folder_that_needs_no_copy_is_itself(tmp_path: Path) -> None:
    safetensors.torch.save_file({"a": torch.ones(2)}, tmp_path / "model.safetensors")
    (tmp_path / "damaged.safetensors").write_bytes(b"no")

    with weights.readable(tmp_path) as folder:
        assert tmp_path == folder
