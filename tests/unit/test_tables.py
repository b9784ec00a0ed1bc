"""What a person is shown of the models: how they run on this machine, and how accurately."""

from pathlib import Path

import pytest
from native_model import KERNELS, MANIFEST, needs_kernels

from embed_onnx.artifact import manifest
from embed_onnx.cli import models
from embed_onnx.settings import Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Listed: a model that is exported, and one that is not."""
    artifact = tmp_path / "artifacts" / MANIFEST.name
    artifact.mkdir(parents=True)
    for name, size in ((manifest.MODEL, 900_000), (manifest.DATA, 400_000), (manifest.HEAD, 200_000)):
        (artifact / name).write_bytes(b"?" * size)
    manifest.write(MANIFEST, artifact)
    (tmp_path / "models.txt").write_text("owner/small name=small alias=tiny,teeny\nsomebody/absent\n")
    return tmp_path


def rows(folder: Path, kernels: str) -> list[list[str]]:
    settings = Settings(models=folder / "models.txt", artifacts=folder / "artifacts", kernels=kernels)
    return [models.row(model) for model in models.listed(settings)]


def test_without_kernels(folder: Path) -> None:
    """What was measured of standard operators, and why it is they; nothing of what is not exported."""
    small, absent = rows(folder, "off")

    described = ["small", "owner/small, tiny, teeny", "32", "48", "int8", "not recorded", "1.5"]
    fidelity = ["0.99870", "0.99000", "not measured", "not measured"]
    assert [*described, *fidelity, "not recorded", "standard operators (kernels are off)"] == small
    assert ["somebody/absent", "", "", "", "int8", *[""] * 7, "not exported"] == absent


@needs_kernels
def test_with_kernels(folder: Path) -> None:
    """What was measured of the kernels, of short texts apart."""
    small, _ = rows(folder, "auto")

    fidelity = ["0.99890", "0.99100", "0.99700", "0.96000"]
    assert [*fidelity, "not recorded", f"{KERNELS.instruction_set} kernels"] == small[7:]
