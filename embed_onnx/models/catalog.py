"""What is served at one time: the models, and every name that a client may use for one.

A client asks for NAME or for NAME:PROMPT, and may put ``:latest`` behind it, as clients of Ollama do. A name
of models.txt, which may have a tag of its own, comes first, then a prompt; where it is neither, ``:latest``
means nothing.
"""

import logging
from collections.abc import Iterator
from typing import Self

import msgspec

from embed_onnx.artifact import models_txt
from embed_onnx.errors import ModelNotFound
from embed_onnx.models import prompts, tasks
from embed_onnx.models.model import Model
from embed_onnx.models.tasks import Task

log = logging.getLogger(__name__)

LATEST = ":latest"
"""What clients of Ollama put behind a name that has no tag."""


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """A name as it is listed, the served name behind it, that model, and the prompt of NAME:PROMPT."""

    name: str
    served: str
    model: Model
    prompt_name: str | None = None


class Catalog(msgspec.Struct, frozen=True):
    """The models at one time."""

    names: dict[str, str]
    """Every name a client may use, and the served name behind it."""
    models: dict[str, Model]
    """By served name, in the order of the models file."""

    @classmethod
    def of(cls, entries: list[models_txt.Entry], models: dict[str, Model]) -> Self:
        """The models of entries under all their names; a line's own names come before a repository's."""
        names = {name: entry.name for entry in entries for name in (entry.name, *entry.aliases)}
        for entry in entries:
            for name in entry.names():
                names.setdefault(name, entry.name)
        return cls(names, models)

    def able(self, name: str | None, task: Task) -> Match:
        """The model that a client asks for, if it can do a task; the first one that can for None.

        Raises:
            ModelNotFound: It is not served here.
            TaskNotSupported: It cannot, or no model can.
        """
        manifests = (model.manifest for model in self.models.values())
        if name is None:
            return self._match(tasks.first(task, manifests).name)
        match = self.find(name)
        tasks.check(task, match.model.manifest, manifests)
        return match

    def find(self, name: str | None) -> Match:
        """The model that a client asks for; the first one for None.

        Raises:
            ModelNotFound: It is not served here.
        """
        if name is None:
            return self._match(next(iter(self.models)))
        for text in (name, name.removesuffix(LATEST)):
            if text in self.names:
                return self._match(text)
            before, _, prompt_name = text.rpartition(":")
            known = before if before in self.names else before.removesuffix(LATEST)
            if known in self.names and prompts.has(self._match(known).model.manifest, prompt_name):
                return self._match(known, prompt_name)
        raise ModelNotFound(
            f"the model {name[:80]!r} is not served here; served are {', '.join(self.names)}", param="model"
        )

    def entries(self) -> Iterator[Match]:
        """An entry a name: the models in their order, then their other names."""
        yield from (self._match(name) for name in self.models)
        yield from (self._match(name) for name, served in self.names.items() if name != served)

    def aliases(self, served: str) -> list[str]:
        """The other names of a model."""
        return [name for name, behind in self.names.items() if behind == served != name]

    def warn_of_hidden_prompts(self) -> None:
        """Log each name that looks like another model's NAME:PROMPT, as it is served in its place."""
        for name, served in self.names.items():
            before, _, prompt_name = name.rpartition(":")
            if before in self.names and prompts.has(self._match(before).model.manifest, prompt_name):
                log.warning(
                    "%s is an alias of %s, so it does not mean the prompt %r of %s; choose another alias",
                    name,
                    served,
                    prompt_name,
                    before,
                )

    def _match(self, name: str, prompt_name: str | None = None) -> Match:
        served = self.names[name]
        return Match(name=name, served=served, model=self.models[served], prompt_name=prompt_name)
