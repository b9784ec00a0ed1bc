"""The served models by name and alias: models.txt and the artifacts folder, brought together."""

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, Self

from embed_onnx.artifact import manifest, models_txt
from embed_onnx.artifact.manifest import Manifest
from embed_onnx.engine import native
from embed_onnx.errors import (
    ArtifactError,
    InferenceFailed,
    Overloaded,
    SetupError,
    Unavailable,
)
from embed_onnx.models.catalog import Catalog
from embed_onnx.models.model import Model
from embed_onnx.models.result_cache import ResultCache
from embed_onnx.models.tasks import Task
from embed_onnx.scheduling.scheduler import Scheduler
from embed_onnx.settings import Settings
from embed_onnx.system import cpu

log = logging.getLogger(__name__)

State = Literal["loading", "ready", "draining"]

PROVEN_SECONDS = 10.0
"""For so long after a success, the server counts as able to embed."""
PROBE_SECONDS = 5.0
"""What one token may take."""


def entries_to_serve(settings: Settings) -> list[models_txt.Entry]:
    """What to serve: the models of the command line, else of the models file, else every artifact.

    Raises:
        SetupError: Neither lists a model.
    """
    if settings.model or settings.models.exists():
        entries = models_txt.listed(settings.models, settings.model)
        if not entries:
            raise SetupError(f"{settings.models} lists no model; add a line such as all-MiniLM-L6-v2")
        return entries
    manifests = {
        name: manifest.read(settings.artifacts / name) for name in _artifact_names(settings.artifacts)
    }
    if not manifests:
        raise SetupError(
            f"there is neither a file {settings.models} nor an artifact in {settings.artifacts}; "
            "name a model with --model OWNER/NAME, or list it in the file"
        )
    return [
        models_txt.Entry(name=name, repo=item.source.repo, precision=item.precision, overrides=item.overrides)
        for name, item in manifests.items()
    ]


def _artifact_names(artifacts: Path) -> list[str]:
    """Names are folders below ``artifacts``; one that begins with a dot is not finished."""
    within = ("**/", "*/", "*/*/")  # the first enters no folder that is a link, the others do
    paths = {path.parent for part in within for path in artifacts.glob(part + manifest.MANIFEST)}
    folders = [folder.relative_to(artifacts) for folder in paths]
    return sorted(str(folder) for folder in folders if not any(part.startswith(".") for part in folder.parts))


def missing(entries: list[models_txt.Entry], artifacts: Path) -> list[models_txt.Entry]:
    """The entries whose artifact is absent, or is not what the line asks for.

    Raises:
        ArtifactError: An artifact is there and cannot be read.
    """
    return [entry for entry in entries if not _is_there(artifacts / entry.name, entry)]


def _is_there(folder: Path, entry: models_txt.Entry) -> bool:
    """Whether an artifact is what a line asks for; that its checkpoint has changed is only logged."""
    if not (folder / manifest.MANIFEST).exists():
        return False
    described = manifest.read(folder)
    if not entry.matches(described):
        return False
    changed = entry.changed(described)
    if changed:
        log.warning(
            "%s was exported from other files than %s has now: %s; run `embed-onnx export %s` to follow",
            folder,
            entry.folder,
            ", ".join(changed),
            entry.name,
        )
    return True


class Registry:
    """Checked at once, loaded by ``load``, closed at the end; one scheduler for all models."""

    def __init__(
        self,
        entries: list[models_txt.Entry],
        settings: Settings,
        *,
        on_sick: Callable[[str], None] | None = None,
        on_pack: Callable[[int, int, float], None] | None = None,
    ) -> None:
        """Read and verify every artifact, which takes a moment; nothing is loaded yet.

        ``on_sick`` and ``on_pack`` are the scheduler's: called if lanes keep dying or hanging, and for each
        pack that was run.

        Raises:
            ArtifactError: An artifact is absent, damaged, or newer than this version.
        """
        self.state: State = "loading"
        self._settings = settings
        self._changed = threading.Condition()
        self._in_use: list[Model] = []
        """Of each request that was accepted and is not answered; ``drain`` waits for them."""
        self._reloading = threading.Lock()
        self.kernels = native.find(settings.kernels)
        if self.kernels.library is None and settings.kernels != "off":
            log.warning("no native kernels, so models are several times slower: %s", self.kernels.reason)
        self.cache = (
            ResultCache(settings.cache_bytes, shared=settings.shared_cache) if settings.cache_bytes else None
        )
        """Of the results of all models, where the settings have one."""
        lanes = settings.threads or cpu.usable_cores()
        self.kernels.set_threads(lanes)
        self.scheduler = Scheduler(
            lanes=lanes,
            queue_tokens=settings.queue_tokens,
            lane_timeout=settings.lane_timeout,
            on_sick=on_sick,
            on_pack=on_pack,
        )
        try:
            self._catalog = self._list(entries, {})
        except ArtifactError:
            self.scheduler.close()
            raise

    @property
    def manifests(self) -> dict[str, Manifest]:
        """Of every model, by served name."""
        return {name: model.manifest for name, model in self._catalog.models.items()}

    @property
    def catalog(self) -> Catalog:
        """What is served now; a reload makes another."""
        return self._catalog

    def load(self) -> None:
        """Load every model; blocks.

        Raises:
            ArtifactError: An artifact is damaged, or its session or tokenizer cannot be made.
        """
        self._prepare(self._catalog)
        with self._changed:
            if self.state == "loading":  # and not draining by now
                self.state = "ready"

    def reload(self) -> list[str]:
        """Serve what the models file and the artifacts folder hold now; blocks. Says the names.

        New models are loaded beside those that are served until then; requests that run end on the
        model that they began with. Nothing changes if anything fails.

        Raises:
            SetupError: A model is not exported, or an artifact is damaged.
        """
        with self._reloading:
            entries = entries_to_serve(self._settings)
            absent = ", ".join(entry.name for entry in missing(entries, self._settings.artifacts))
            if absent:
                raise SetupError(
                    f"{self._settings.artifacts} lacks {absent}; run `embed-onnx export`, then reload"
                )
            catalog = self._list(entries, self._catalog.models)
            self._prepare(catalog)
            self._catalog = catalog
        return list(catalog.models)

    def unload_idle(self, seconds: float) -> None:
        """Free the memory of every model that no request uses, and none has used for so long."""
        with self._changed:
            for name, model in self._catalog.models.items():
                idle = model not in self._in_use and time.monotonic() - model.files.last_used > seconds
                if model.files.loaded and idle:
                    model.files.unload()
                    log.info("unloaded %s: not used for %g s", name, seconds)

    def check_ready(self) -> None:
        """Raise unless every model can embed.

        Raises:
            Unavailable: Models are loading, or the server is going down.
        """
        if self.state == "loading":
            names = ", ".join(name for name, model in self._catalog.models.items() if not model.files.loaded)
            raise Unavailable(f"still loading {names}; try again in a moment")
        if self.state == "draining":
            raise Unavailable("the server is going down; send the request again")

    async def check_alive(self) -> float | None:
        """Seconds since a sequence was last embedded; one is embedded now if that is long ago.

        None if none ever was, which takes that every model is out of memory.

        Raises:
            Unavailable: It was not, or not in time.
        """
        self.check_ready()
        if self._seconds_since_success() > PROVEN_SECONDS:
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    await asyncio.gather(*(model.probe() for model in self._catalog.models.values()))
            except TimeoutError:
                raise Unavailable(
                    f"one token was not embedded within {PROBE_SECONDS:g} s; the log may say why"
                ) from None
            except (InferenceFailed, Overloaded) as err:
                raise Unavailable(f"one token could not be embedded: {err}") from None
        seconds = self._seconds_since_success()
        return seconds if math.isfinite(seconds) else None

    def _seconds_since_success(self) -> float:
        return time.monotonic() - self.scheduler.last_success

    def _list(self, entries: list[models_txt.Entry], served: dict[str, Model]) -> Catalog:
        """The models of entries; one that is served already and has not changed is kept."""
        models = {}
        for entry in entries:
            folder = self._settings.artifacts / entry.name
            described = manifest.read(folder)
            known = served.get(entry.name)
            if known is None or known.manifest != described:
                known = Model(
                    folder,
                    described,
                    self.scheduler,
                    self.kernels,
                    literal_special_tokens=self._settings.literal_special_tokens,
                    cache=self.cache,
                )
                known.files.verify()
            models[entry.name] = known
        catalog = Catalog.of(entries, models)
        catalog.warn_of_hidden_prompts()
        return catalog

    def _prepare(self, catalog: Catalog) -> None:
        """Load what is not in memory, unless the server is going down by then."""
        for name, model in catalog.models.items():
            if not model.files.loaded and self.state != "draining":
                model.files.load()
                log.info("loaded %s: %s, %s", name, model.manifest.precision, model.kernels.log_line)

    @contextlib.contextmanager
    def use(self, name: str | None, task: Task | None = None) -> Iterator[tuple[Model, str | None]]:
        """The model of that name or alias, or the first; and the prompt's name in ``model:prompt``.

        With a ``task``, the first is the first that can do it. A request in the block has been accepted:
        draining waits for it.

        Raises:
            ModelNotFound: It is not served here.
            TaskNotSupported: It cannot do the task.
            Unavailable: Models are loading, or the server is going down.
        """
        with self._changed:
            self.check_ready()
            match = self._catalog.find(name) if task is None else self._catalog.able(name, task)
            model = match.model
            self._in_use.append(model)
        try:
            yield model, match.prompt_name
        finally:
            with self._changed:
                self._in_use.remove(model)
                model.files.last_used = time.monotonic()
                self._changed.notify_all()

    def served(self, name: str | None) -> tuple[str, Manifest]:
        """The served name behind a name or alias, and the model's manifest; the first one's for None.

        Raises:
            ModelNotFound: It is not served here.
        """
        match = self._catalog.find(name)
        return match.served, match.model.manifest

    def drain(self, timeout: float) -> None:
        """Refuse new work, finish what was accepted within ``timeout`` seconds, fail the rest; blocks."""
        end = time.monotonic() + timeout
        with self._changed:
            self.state = "draining"
            self._changed.wait_for(lambda: not self._in_use, timeout)
        self.scheduler.drain(max(0.0, end - time.monotonic()))

    def close(self) -> None:
        """End the lanes."""
        self.state = "draining"
        self.scheduler.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
