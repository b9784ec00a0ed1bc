"""Models that are reloaded, unloaded and proven to be alive while they are served."""

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
from registries import opened, use

from embed_onnx.artifact import manifest
from embed_onnx.errors import ArtifactError, ModelNotFound, SetupError, Unavailable
from embed_onnx.http import keys, operations
from embed_onnx.http.app import compose
from embed_onnx.models import registry
from embed_onnx.models.options import Options
from embed_onnx.settings import Settings


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
