"""Models by name and alias, brought together from models.txt and the artifacts folder."""

import asyncio
import gc
import math
import shutil
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from harness import MINILM, SMALL, START_SECONDS, until
from litestar.datastructures import State

from embed_onnx import Model
from embed_onnx.artifact import manifest
from embed_onnx.artifact.manifest import Source
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.errors import ArtifactError, ModelNotFound, SetupError, Unavailable
from embed_onnx.http import keys, operations
from embed_onnx.http.app import compose
from embed_onnx.models import registry
from embed_onnx.models.options import Options
from embed_onnx.models.registry import Registry
from embed_onnx.settings import Settings


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings(models=home / "models.txt", artifacts=home / "artifacts", threads=1)


def use(models: Registry, name: str | None) -> tuple[Model, str | None]:
    with models.use(name) as result:
        return result


def opened(settings: Settings) -> Registry:
    return Registry(registry.entries_to_serve(settings), settings)


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
    ("changed", "log"), [("README.md", True), ("model.safetensors", False), (None, False)]
)
def test_a_folder_that_has_changed_is_told(
    home: Path,
    settings: Settings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    *,
    changed: str | None,
    log: bool,
) -> None:
    """By its small files, as weights take long to read; the artifact is served all the same."""
    other = shutil.copytree(home / "checkpoint", tmp_path / "checkpoint")
    if changed is not None:
        (other / changed).write_text("another training")
    entry = Entry(name=SMALL, repo="./checkpoint", folder=other)

    missing = registry.missing([entry], settings.artifacts)

    sentence = f"{settings.artifacts / SMALL} was exported from other files than {other} has now: README.md"
    assert [] == missing
    assert log == (sentence in caplog.text)
    assert log == bool(caplog.records)


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


# Reloading, unloading, proving.


@pytest.fixture
def edge(settings: Settings, tmp_path: Path) -> Settings:
    """A copy of the small model's artifact that a test may change, and no models file."""
    shutil.copytree(settings.artifacts / SMALL, tmp_path / "art" / SMALL)
    return Settings(models=tmp_path / "none", artifacts=tmp_path / "art", threads=1)


def export_again(folder: Path) -> None:
    """What a new export of other weights would leave: files and a manifest that differ."""
    described = manifest.read(folder)
    manifest.write(msgspec.structs.replace(described, created=described.created + 1), folder)


def test_reload_takes_what_is_there_now(edge: Settings) -> None:
    """A new model comes, an old one goes, one that has changed is loaded anew, and any other is kept."""
    for name in ("kept", "gone"):
        shutil.copytree(edge.artifacts / SMALL, edge.artifacts / name)
    with opened(edge) as models:
        models.load()
        before = {name: use(models, name)[0] for name in ("kept", "gone", SMALL)}
        shutil.rmtree(edge.artifacts / "gone")
        shutil.copytree(edge.artifacts / SMALL, edge.artifacts / "new")
        export_again(edge.artifacts / SMALL)

        names = models.reload()

        after = {name: use(models, name)[0] for name in names}
        with pytest.raises(ModelNotFound, match=f"served are kept, new, {SMALL}"):
            use(models, "gone")
        vectors = [model.encode(["still the same"]).tolist() for model in (*before.values(), *after.values())]
    assert ["kept", "new", SMALL] == list(after)
    assert before["kept"] is after["kept"]
    assert before[SMALL] is not after[SMALL]
    assert vectors == [vectors[0]] * 6


def test_a_reload_that_fails_changes_nothing(edge: Settings) -> None:
    with opened(edge) as models:
        models.load()
        before = use(models, SMALL)
        export_again(edge.artifacts / SMALL)
        (edge.artifacts / SMALL / "tokenizer.json").write_text("{}")

        with pytest.raises(ArtifactError, match=r"tokenizer.json is damaged"):
            models.reload()

        assert before == use(models, SMALL)
        assert (1, 32) == before[0].encode(["served from memory"]).shape


def test_what_is_listed_and_not_exported_is_not_reloaded(edge: Settings, tmp_path: Path) -> None:
    with opened(edge) as models:
        models.load()
        edge.models.write_text("team/absent\n")

        with pytest.raises(SetupError, match="lacks team/absent; run `embed-onnx export`, then reload"):
            models.reload()


def test_an_idle_model_leaves_the_memory_and_comes_back(edge: Settings) -> None:
    with opened(edge) as models:
        models.load()
        model, _ = use(models, SMALL)
        before = model.encode(["a text"])
        models.unload_idle(60)
        in_use = model.files.loaded
        models.unload_idle(0)
        idle = model.files.loaded
        models.check_ready()
        after = model.encode(["a text"])

    assert [True, False] == [in_use, idle]
    assert model.files.loaded
    assert before.tobytes() == after.tobytes()


@pytest.mark.parametrize("name", [SMALL, MINILM])
def test_an_idle_model_is_freed_without_garbage_collection(settings: Settings, name: str) -> None:
    """Which may never come while a server is idle."""
    with opened(settings) as models:
        models.load()
        model, _ = use(models, name)
        model.encode(["a text", "another"])
        asyncio.run(model.embed(["a text", "another"], Options()))
        encoder = weakref.ref(model.files.load().vectors._encoder)
        gc.disable()
        try:
            models.unload_idle(0)
            until(lambda: encoder() is None)
        finally:
            gc.enable()


def test_files_that_changed_meanwhile_are_not_read(edge: Settings) -> None:
    """What comes back into memory is what the manifest described when it left."""
    with opened(edge) as models:
        models.load()
        model, _ = use(models, SMALL)
        models.unload_idle(0)
        (edge.artifacts / SMALL / "model.onnx").write_bytes(b"other")

        with pytest.raises(ArtifactError, match=r"model.onnx is damaged"):
            model.encode(["a text"])


def test_ready_means_that_a_token_was_embedded(edge: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its own if nobody else's was; a lane that hangs or a model that fails is not ready."""
    with opened(edge) as models:
        models.load()
        model, _ = use(models, SMALL)
        first = asyncio.run(models.check_alive())
        monkeypatch.setattr(registry, "PROVEN_SECONDS", -1)
        monkeypatch.setattr(registry, "PROBE_SECONDS", 0.2)
        inference, gate = model.files.load().vectors, threading.Event()
        with monkeypatch.context() as broken:
            broken.setattr(inference, "run", lambda _: gate.wait(60))
            with pytest.raises(Unavailable, match=r"one token was not embedded within 0.2 s"):
                asyncio.run(models.check_alive())
            filling = models.scheduler.submit(inference, [[1] * models.scheduler.queue_tokens])
            with pytest.raises(Unavailable, match=r"one token could not be embedded: \d+ tokens wait"):
                asyncio.run(models.check_alive())
            filling.future.cancel()
            gate.set()
        second = asyncio.run(models.check_alive())

    assert first is not None
    assert second is not None
    assert 0 <= second < 60


def test_a_model_that_is_in_use_stays_in_memory(edge: Settings) -> None:
    """However long a request takes, and for a while after it."""
    with opened(edge) as models:
        models.load()
        with models.use(SMALL) as (model, _):
            model.files.last_used = -math.inf
            models.unload_idle(60)
            during = model.files.loaded
        models.unload_idle(60)

        assert [True, True] == [during, model.files.loaded]


def test_what_was_just_loaded_stays_in_memory(edge: Settings) -> None:
    """Ahead of the request that needs it, as Ollama's clients have it, or by a reload."""
    with opened(edge) as models:
        models.load()
        model, _ = use(models, SMALL)
        model.files.last_used = -math.inf
        models.unload_idle(60)
        idle = model.files.loaded
        models.reload()
        models.unload_idle(60)

        assert [False, True] == [idle, model.files.loaded]


def test_a_server_that_goes_down_loads_no_more(settings: Settings) -> None:
    """It would have to wait for every model before it can end."""
    with opened(settings) as models:
        models.drain(0)
        models.load()

        assert [False, False] == [model.files.loaded for model in models._catalog.models.values()]


def test_who_waits_for_a_model_delays_nobody_else(edge: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many want a model that takes long to load, all else has its threads."""
    shutil.copytree(edge.artifacts / SMALL, edge.artifacts / "other")
    inputs, options = ["a text"], Options()
    with opened(edge) as models:
        slow, other = models._catalog.models[SMALL], models._catalog.models["other"]
        gate, verify = threading.Event(), slow.files.verify

        def verify_slowly() -> None:
            assert gate.wait(START_SECONDS)
            verify()

        slow.files.unload()
        monkeypatch.setattr(slow.files, "verify", verify_slowly)

        async def ask() -> tuple[int, int]:
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
            waiting = [
                asyncio.create_task(work)
                for _ in range(8)
                for work in (slow.embed(inputs, options), slow.show_tokens(inputs, options))
            ]
            await asyncio.sleep(0)  # now all of them wait
            first = await other.embed(inputs, options)
            await other.show_tokens(inputs, options)
            await asyncio.to_thread(gate.set)
            return first.num_tokens, len(await asyncio.gather(*waiting))

        num_tokens, answers = asyncio.run(ask())

    assert num_tokens > 0
    assert 16 == answers


def test_reloads_take_turns(edge: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that was removed does not come back with a reload that had read the file before."""
    path = tmp_path / "keys"
    gone, kept = (keys.add(path, name) for name in ("gone", "kept"))
    settings = msgspec.structs.replace(edge, api_keys_file=path)
    gate, began = threading.Event(), threading.Event()

    def reload() -> list[str]:
        if not began.is_set():
            began.set()
            assert gate.wait(START_SECONDS)
        return []

    async def reload_twice(state: State) -> None:
        first = asyncio.create_task(operations.reload(state))
        await asyncio.to_thread(began.wait, START_SECONDS)
        keys.remove(path, "gone")
        second = asyncio.create_task(operations.reload(state))
        await asyncio.wait({second}, timeout=0.5)  # it would be done by then, did it not wait
        gate.set()
        await asyncio.gather(first, second)

    service = compose(registry.entries_to_serve(settings), settings)
    with service.registry as models:
        monkeypatch.setattr(models, "reload", reload)
        state = service.app.state
        asyncio.run(reload_twice(state))

    assert [False, True] == [state.api_keys.find(key) is not None for key in (gone, kept)]
