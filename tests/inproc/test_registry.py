"""Models by name and alias, brought together from models.txt and the artifacts folder."""

import shutil
import threading
from pathlib import Path

import msgspec
import pytest
from harness import MINILM, SMALL, until
from registries import opened, use

from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import Source
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.errors import ArtifactError, ModelNotFound, Unavailable
from embed_onnx.models import registry
from embed_onnx.settings import Settings


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
        actual = [use(models, name) for name in (None, "team/tiny", f"{SMALL}:query")]
        with pytest.raises(ModelNotFound, match="served are") as unknown:
            use(models, "nope:query")
        with pytest.raises(ModelNotFound, match=f"the model '{SMALL}:nope' is not served here"):
            use(models, f"{SMALL}:nope")

    assert [(MINILM, None), (SMALL, None), (SMALL, "query")] == [
        (model.manifest.name, prompt) for model, prompt in actual
    ]
    assert "model" == unknown.value.param


def test_an_artifact_of_another_precision_is_missing(settings: Settings, tmp_path: Path) -> None:
    """What a line asks for and what is there must agree; what is absent is missing, too."""
    (tmp_path / "models.txt").write_text(
        f"{MINILM} precision=float32\nsomebody/absent\n./checkpoint name={SMALL}\n"
    )
    other = Settings(models=tmp_path / "models.txt", artifacts=settings.artifacts)

    actual = registry.missing(registry.entries_to_serve(other), other.artifacts)

    assert [MINILM, "somebody/absent"] == [entry.name for entry in actual]


def test_without_a_models_file_every_artifact_is_served(settings: Settings, tmp_path: Path) -> None:
    """Folders in folders are found; half-made ones, which start with a dot, are not."""
    shutil.copytree(settings.artifacts / SMALL, tmp_path / "art" / "team" / SMALL)
    shutil.copytree(settings.artifacts / SMALL, tmp_path / "art" / ".small-123" / "new")

    actual = registry.entries_to_serve(Settings(models=tmp_path / "none", artifacts=tmp_path / "art"))

    assert [f"team/{SMALL}"] == [entry.name for entry in actual]


@pytest.mark.parametrize("name", [SMALL, f"team/{SMALL}"])
def test_an_artifact_that_is_a_link_is_served(settings: Settings, tmp_path: Path, name: str) -> None:
    link = tmp_path / "art" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(settings.artifacts / SMALL)

    actual = registry.entries_to_serve(Settings(models=tmp_path / "none", artifacts=tmp_path / "art"))

    assert [name] == [entry.name for entry in actual]


@pytest.mark.parametrize(
    ("changed", "warned"), [("README.md", True), ("model.safetensors", False), (None, False)]
)
def test_a_folder_that_has_changed_is_warned_of(
    home: Path,
    settings: Settings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    *,
    changed: str | None,
    warned: bool,
) -> None:
    """By its small files, as weights take long to read; the artifact is served all the same."""
    other = shutil.copytree(home / "checkpoint", tmp_path / "checkpoint")
    if changed is not None:
        (other / changed).write_text("another training")
    entry = Entry(name=SMALL, repo="./checkpoint", folder=other)

    missing = registry.missing([entry], settings.artifacts)

    sentence = f"{settings.artifacts / SMALL} was exported from other files than {other} has now: README.md"
    assert [] == missing
    assert warned == (sentence in caplog.text)
    assert warned == bool(caplog.records)


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
        actual = {name: models.served(name)[0] for name in ("team/m", "one", "two", "other")}

    assert {"team/m": "one", "one": "one", "two": "two", "other": "two"} == actual


def test_an_artifact_is_of_its_own_repository_and_revision(settings: Settings) -> None:
    """Another repository or revision under the same name is not what a line asks for."""
    source = Source(repo="team/m", requested="main", revision="0123abc", files={})
    actual = msgspec.structs.replace(manifest.read(settings.artifacts / SMALL), source=source)

    def asks(**fields: str) -> bool:
        return Entry(**{"name": "m", "repo": "team/m", **fields}).matches(actual)

    assert [True, True, True] == [asks(), asks(revision="main"), asks(revision="0123abc")]
    assert [False, False, False] == [asks(repo="other/m"), asks(revision="dev"), asks(precision="float32")]


def test_draining_waits_for_who_was_let_in(settings: Settings) -> None:
    """A request that is still being tokenized when the server is asked to stop is embedded all the same."""
    with opened(settings) as models:
        models.load()
        draining = threading.Thread(target=models.drain, args=(60,))
        with models.use(SMALL) as (model, _):
            draining.start()
            until(lambda: models.state != "ready")
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


def test_a_server_that_goes_down_loads_no_more(settings: Settings) -> None:
    """It would have to wait for every model before it can end."""
    with opened(settings) as models:
        models.drain(0)
        models.load()

        assert [False, False] == [model.files.loaded for model in models._catalog.models.values()]
