"""Models by name and alias, brought together from models.txt and the artifacts folder."""

import shutil
from pathlib import Path

import pytest
from harness import MINILM, SMALL

from embed_onnx import registry
from embed_onnx.errors import ArtifactError, ModelNotFound, Unavailable
from embed_onnx.registry import Registry
from embed_onnx.settings import Settings


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings(models=home / "models.txt", artifacts=home / "artifacts", threads=1)


def opened(settings: Settings) -> Registry:
    return Registry(registry.wanted(settings), settings)


def test_life_of_a_registry(settings: Settings) -> None:
    """It says why it is not ready while loading and while draining, and serves in between."""
    with opened(settings) as models:
        with pytest.raises(Unavailable, match=f"still loading {MINILM}, {SMALL}"):
            models.find(MINILM)
        models.load()
        model, _ = models.find(SMALL)
        models.drain(1)
        with pytest.raises(Unavailable, match="going down"):
            models.find(SMALL)

    assert SMALL == model.manifest.name


def test_names(settings: Settings) -> None:
    """A name, an alias, nothing at all, and a prompt after a colon."""
    with opened(settings) as models:
        models.load()
        found = [models.find(name) for name in (None, "team/tiny", f"{SMALL}:query")]
        with pytest.raises(ModelNotFound, match="served are") as unknown:
            models.find("nope:query")

    assert [(MINILM, None), (SMALL, None), (SMALL, "query")] == [
        (model.manifest.name, prompt) for model, prompt in found
    ]
    assert "model" == unknown.value.param


def test_an_artifact_of_another_precision_is_missing(settings: Settings, tmp_path: Path) -> None:
    """What a line asks for and what is there must agree; what is absent is missing, too."""
    (tmp_path / "models.txt").write_text(f"{MINILM} precision=float32\nsomebody/absent\n./x name={SMALL}\n")
    other = Settings(models=tmp_path / "models.txt", artifacts=settings.artifacts)

    found = registry.missing(registry.wanted(other), other.artifacts)

    assert [MINILM, "somebody/absent"] == [entry.name for entry in found]


def test_without_a_models_file_every_artifact_is_served(settings: Settings, tmp_path: Path) -> None:
    """Folders in folders are found; half-made ones, which start with a dot, are not."""
    shutil.copytree(settings.artifacts / SMALL, tmp_path / "art" / "team" / SMALL)
    shutil.copytree(settings.artifacts / SMALL, tmp_path / "art" / ".small-123" / "new")

    found = registry.wanted(Settings(models=tmp_path / "none", artifacts=tmp_path / "art"))

    assert [f"team/{SMALL}"] == [entry.name for entry in found]


def test_damage_is_found_at_once(settings: Settings, tmp_path: Path) -> None:
    shutil.copytree(settings.artifacts / SMALL, tmp_path / "art" / SMALL)
    (tmp_path / "art" / SMALL / "tokenizer.json").write_text("{}")

    with pytest.raises(ArtifactError, match=r"tokenizer.json is damaged"):
        opened(Settings(models=tmp_path / "none", artifacts=tmp_path / "art"))


def test_one_checkpoint_in_two_precisions(tmp_path: Path, settings: Settings) -> None:
    """The repository's own name goes to the first line that has it; other names are as given."""
    shutil.copytree(settings.artifacts / SMALL, tmp_path / "art" / "one")
    shutil.copytree(settings.artifacts / SMALL, tmp_path / "art" / "two")
    (tmp_path / "models.txt").write_text("team/m name=one\nteam/m name=two alias=other\n")

    with opened(Settings(models=tmp_path / "models.txt", artifacts=tmp_path / "art")) as models:
        found = {name: models.resolve(name) for name in ("team/m", "one", "two", "other")}

    assert {"team/m": "one", "one": "one", "two": "two", "other": "two"} == found
