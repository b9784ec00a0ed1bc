"""Models by name and alias, brought together from models.txt and the artifacts folder."""

import shutil
import threading
from pathlib import Path

import msgspec
import pytest
from harness import MINILM, SMALL

from embed_onnx import Model, manifest, registry
from embed_onnx.errors import ArtifactError, ModelNotFound, Unavailable
from embed_onnx.manifest import Source
from embed_onnx.models_file import Entry
from embed_onnx.registry import Registry
from embed_onnx.settings import Settings


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings(models=home / "models.txt", artifacts=home / "artifacts", threads=1)


def use(models: Registry, name: str | None) -> tuple[Model, str | None]:
    with models.use(name) as found:
        return found


def opened(settings: Settings) -> Registry:
    return Registry(registry.wanted(settings), settings)


def test_life_of_a_registry(settings: Settings) -> None:
    """It says why it is not ready while loading and while draining, and serves in between."""
    with opened(settings) as models:
        with pytest.raises(Unavailable, match=f"still loading {MINILM}, {SMALL}"):
            use(models, MINILM)
        models.load()
        model, _ = use(models, SMALL)
        models.drain(1)
        with pytest.raises(Unavailable, match="going down"):
            use(models, SMALL)

    assert SMALL == model.manifest.name


def test_names(settings: Settings) -> None:
    """A name, an alias, nothing at all, and a prompt after a colon."""
    with opened(settings) as models:
        models.load()
        found = [use(models, name) for name in (None, "team/tiny", f"{SMALL}:query")]
        with pytest.raises(ModelNotFound, match="served are") as unknown:
            use(models, "nope:query")

    assert [(MINILM, None), (SMALL, None), (SMALL, "query")] == [
        (model.manifest.name, prompt) for model, prompt in found
    ]
    assert "model" == unknown.value.param


def test_an_artifact_of_another_precision_is_missing(settings: Settings, tmp_path: Path) -> None:
    """What a line asks for and what is there must agree; what is absent is missing, too."""
    (tmp_path / "models.txt").write_text(
        f"{MINILM} precision=float32\nsomebody/absent\n./checkpoint name={SMALL}\n"
    )
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


def test_an_artifact_is_of_its_own_repository_and_revision(settings: Settings) -> None:
    """Another repository or revision under the same name is not what a line asks for."""
    source = Source(repo="team/m", requested="main", revision="0123abc", files={})
    found = msgspec.structs.replace(manifest.read(settings.artifacts / SMALL), source=source)

    def asks(**fields: str) -> bool:
        return Entry(**{"name": "m", "repo": "team/m", **fields}).asks_for(found)

    assert [True, True, True] == [asks(), asks(revision="main"), asks(revision="0123abc")]
    assert [False, False, False] == [asks(repo="other/m"), asks(revision="dev"), asks(precision="float32")]


def test_draining_waits_for_who_was_let_in(settings: Settings) -> None:
    """A request that is still being tokenized when the server is asked to stop is embedded all the same."""
    with opened(settings) as models:
        models.load()
        draining = threading.Thread(target=models.drain, args=(60,))
        with models.use(SMALL) as (model, _):
            draining.start()
            while models.state == "ready":
                pass
            with pytest.raises(Unavailable, match="going down"):
                use(models, SMALL)
            vectors = model.encode(["accepted before"])
        draining.join(60)

    assert (1, 32) == vectors.shape
    assert not draining.is_alive()


def test_a_late_load_does_not_end_draining(settings: Settings) -> None:
    with opened(settings) as models:
        models.drain(0)
        models.load()

        assert "draining" == models.state
