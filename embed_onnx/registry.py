"""The served models by name and alias: models.txt and the artifacts folder, brought together."""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

from embed_onnx import cpu, manifest, models_file, native
from embed_onnx.errors import ModelNotFound, SetupError, Unavailable
from embed_onnx.model import Model
from embed_onnx.scheduler import Scheduler
from embed_onnx.settings import Settings

log = logging.getLogger(__name__)

State = Literal["loading", "ready", "draining"]


def wanted(settings: Settings) -> list[models_file.Entry]:
    """What to serve: the lines of the models file or, where there is none, every artifact.

    Raises:
        SetupError: Neither lists a model.
    """
    if settings.models.exists():
        entries = models_file.read(settings.models)
        if not entries:
            raise SetupError(f"{settings.models} lists no model; add a line such as all-MiniLM-L6-v2")
        return entries
    found = {name: manifest.read(settings.artifacts / name) for name in _artifact_names(settings.artifacts)}
    if not found:
        raise SetupError(
            f"there is neither a file {settings.models} nor an artifact in {settings.artifacts}; "
            "list a model in the file and run `embed-onnx export`"
        )
    return [
        models_file.Entry(name=name, repo=item.source.repo, precision=item.precision)
        for name, item in found.items()
    ]


def _names(entries: list[models_file.Entry]) -> dict[str, str]:
    """Every name a client may use, and the served name behind it; a line's own name comes first."""
    names = {name: entry.name for entry in entries for name in (entry.name, *entry.aliases)}
    for entry in entries:
        for name in entry.names():
            names.setdefault(name, entry.name)
    return names


def _artifact_names(artifacts: Path) -> list[str]:
    """Names are folders below ``artifacts``; one that begins with a dot is still being made."""
    folders = [path.parent.relative_to(artifacts) for path in artifacts.rglob(manifest.MANIFEST)]
    return sorted(str(folder) for folder in folders if not any(part.startswith(".") for part in folder.parts))


def missing(entries: list[models_file.Entry], artifacts: Path) -> list[models_file.Entry]:
    """The entries whose artifact is absent, or is not what the line asks for.

    Raises:
        ArtifactError: An artifact is there and cannot be read.
    """
    return [
        entry
        for entry in entries
        if not (artifacts / entry.name / manifest.MANIFEST).exists()
        or not entry.asks_for(manifest.read(artifacts / entry.name))
    ]


class Registry:
    """Checked at once, loaded by ``load``, closed at the end; one scheduler for all models."""

    def __init__(self, entries: list[models_file.Entry], settings: Settings) -> None:
        """Read and verify every artifact, which takes a moment; nothing is loaded yet.

        Raises:
            ArtifactError: An artifact is absent, damaged, or newer than this version.
        """
        self.state: State = "loading"
        self._changed = threading.Condition()
        self._in_use = 0
        """Requests that were let in and are not answered; ``drain`` waits for them."""
        self._folders = {entry.name: settings.artifacts / entry.name for entry in entries}
        self.manifests = {name: manifest.read(folder) for name, folder in self._folders.items()}
        for name, found in self.manifests.items():
            manifest.verify(found, self._folders[name])
        self._names = _names(entries)
        self._models: dict[str, Model] = {}
        self._kernels = native.find(settings.kernels)
        lanes = settings.threads or cpu.usable_cores()
        self._kernels.set_threads(lanes)
        self.scheduler = Scheduler(lanes=lanes, queue_tokens=settings.queue_tokens)

    def aliases(self, name: str) -> list[str]:
        """The other names of a model."""
        return [alias for alias, served in self._names.items() if served == name != alias]

    def load(self) -> None:
        """Load every model; blocks.

        Raises:
            ArtifactError: An artifact's session or tokenizer cannot be made.
        """
        for name, folder in self._folders.items():
            model = Model(folder, self.manifests[name], self.scheduler, self._kernels)
            self._models[name] = model
            log.info("loaded %s: %s, %s", name, self.manifests[name].precision, model.kernels.told)
        with self._changed:
            if self.state == "loading":  # and not draining by now
                self.state = "ready"

    def check_ready(self) -> None:
        """Raise unless every model can embed.

        Raises:
            Unavailable: Models are loading, or the server is going down.
        """
        if self.state == "loading":
            left = ", ".join(name for name in self._folders if name not in self._models)
            raise Unavailable(f"still loading {left}; try again in a moment")
        if self.state == "draining":
            raise Unavailable("the server is going down; send the request again")

    @contextlib.contextmanager
    def use(self, name: str | None) -> Iterator[tuple[Model, str | None]]:
        """The model of that name or alias, or the first; and the prompt's name in ``model:prompt``.

        Who is in the block has been accepted: draining waits for it.

        Raises:
            ModelNotFound: It is not served here.
            Unavailable: Models are loading, or the server is going down.
        """
        with self._changed:
            self.check_ready()
            self._in_use += 1
        try:
            yield self._find(name)
        finally:
            with self._changed:
                self._in_use -= 1
                self._changed.notify_all()

    def _find(self, name: str | None) -> tuple[Model, str | None]:
        if name is not None and name not in self._names:
            before, colon, prompt_name = name.rpartition(":")
            if colon and before in self._names:
                return self._models[self._names[before]], prompt_name
        return self._models[self.resolve(name)], None

    def resolve(self, name: str | None) -> str:
        """The served name behind a name or alias; the first one's for None.

        Raises:
            ModelNotFound: It is not served here.
        """
        if name is None:
            return next(iter(self._folders))
        if name not in self._names:
            served = ", ".join(self._names)
            raise ModelNotFound(
                f"the model {name[:80]!r} is not served here; served are {served}", param="model"
            )
        return self._names[name]

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
