"""models.txt: which checkpoints are exported and served, one a line.

    all-MiniLM-L6-v2
    BAAI/bge-small-en-v1.5@5c38ec7  alias=text-embedding-3-small
    ./my-finetuned-model  name=support-v2  precision=float32   # a comment

A bare name means ``sentence-transformers/NAME`` on the hub, ``OWNER/NAME`` is that repository, and
``@revision`` pins one. Anything that starts with ``.``, ``/`` or ``~`` is a folder saved by
Sentence-Transformers, relative to the models file; in double quotes, its name may have spaces.
``key=value`` options follow.
"""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec

from embed_onnx import files
from embed_onnx.artifact.manifest import Manifest, Precision, is_name, sha256
from embed_onnx.errors import ModelsFileError

BARE_NAME_OWNER = "sentence-transformers"
OPTIONS = ("alias", "name", "precision")
WEIGHTS = ".safetensors"
CHARACTERS = "letters, digits, '.', '_', '-' and '/'"
WORD = re.compile(r'"([^"]*)"|\S+')
"""Quotes inside a word, and backslashes, are part of a folder's name."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line: ``folder`` for a local checkpoint, else ``repo`` and perhaps ``revision``."""

    name: str
    repo: str
    revision: str | None = None
    folder: Path | None = None
    aliases: tuple[str, ...] = ()
    precision: Precision = "int8"

    def names(self) -> tuple[str, ...]:
        """Every name a client may use: the name, the repository (if no other line has it), the aliases."""
        repo = (self.repo,) if "/" in self.repo and not self.folder else ()
        return tuple(dict.fromkeys((self.name, *repo, *self.aliases)))

    def asks_for(self, manifest: Manifest) -> bool:
        """Whether an artifact is what this line asks for, as far as can be seen without its source."""
        source = manifest.source
        same_repo = source.repo == (self.folder.name if self.folder else self.repo)
        pinned = self.revision is None or self.revision in (source.requested, source.revision)
        return same_repo and pinned and self.precision == manifest.precision

    def changed(self, manifest: Manifest) -> list[str]:
        """Files of a local checkpoint that are not those that were exported; not weights, which are large."""
        if self.folder is None:
            return []
        small = {name: known for name, known in manifest.source.files.items() if not name.endswith(WEIGHTS)}
        return [name for name, known in small.items() if _is_other(self.folder / name, known)]


def _is_other(path: Path, digest: str) -> bool:
    try:
        return sha256(path) != digest
    except OSError:  # the checkpoint need not be here
        return False


def read(path: Path) -> list[Entry]:
    """The entries of a models file, in order.

    Raises:
        ModelsFileError: The file cannot be read, a line is wrong, or a name stands twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as err:
        raise ModelsFileError(f"{path} cannot be read: {err.strerror}; name another with --models") from None
    except UnicodeDecodeError as err:
        raise ModelsFileError(f"{path} is not UTF-8 (byte {err.start}); save it as UTF-8") from None
    return list(_entries(text, path))


def _entries(text: str, path: Path) -> Iterator[Entry]:
    taken: dict[str, int] = {}
    folders: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        words = _words(line)
        if not words:
            continue
        try:
            entry = _entry(words, base=path.parent)
        except ValueError as err:
            raise ModelsFileError(f"{path}, line {number}: {err}") from None
        for name in dict.fromkeys((entry.name, *entry.aliases)):
            if name in taken:
                raise ModelsFileError(
                    f"{path}, line {number}: the name {name!r} is taken by line {taken[name]}; "
                    "give one of them another with name= or alias="
                )
            taken[name] = number
        nested = next((name for name in folders if _nested(name, entry.name)), None)
        if nested is not None:
            raise ModelsFileError(
                f"{path}, line {number}: the artifacts of {nested!r} and {entry.name!r} would be one folder "
                "inside the other; give one of them another name="
            )
        folders.append(entry.name)
        yield entry


def _nested(one: str, other: str) -> bool:
    return one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _words(line: str) -> list[str]:
    """Those before the first ``#`` that starts a word: folders may contain one."""
    words = itertools.takewhile(lambda word: not word[0].startswith("#"), WORD.finditer(line))
    return [word[0] if word[1] is None else word[1] for word in words]


def _entry(words: list[str], *, base: Path) -> Entry:
    source, *pairs = words
    options = _options(pairs)
    precision = options.get("precision", "int8")
    if precision not in get_args(Precision):
        raise ValueError(f"precision={precision} is unknown; known are {', '.join(get_args(Precision))}")
    aliases = tuple(options["alias"].split(",")) if "alias" in options else ()
    if source.startswith((".", "/", "~")):
        folder = _folder(source, base)
        name, repo, revision = folder.name, source, None
    else:
        folder = None
        name, _, pinned = source.partition("@")
        revision = pinned or None
        if not is_name(name) or name.count("/") > 1 or ("@" in source and not pinned):
            raise ValueError(f"{source!r} is neither NAME, OWNER/NAME, OWNER/NAME@REVISION nor ./FOLDER")
        repo = name if "/" in name else f"{BARE_NAME_OWNER}/{name}"
    name = options.get("name", name)
    if not is_name(name):
        raise ValueError(f"{name!r} cannot name a model; use {CHARACTERS}, with name=")
    for alias in aliases:
        if not _is_alias(alias):
            raise ValueError(f"{alias!r} cannot be an alias; use {CHARACTERS}, and one ':' before a tag")
    return Entry(
        name=name,
        repo=repo,
        revision=revision,
        folder=folder,
        aliases=aliases,
        precision=msgspec.convert(precision, Precision),
    )


def _is_alias(text: str) -> bool:
    """Whether it is a name, perhaps with a tag as Ollama's have: ``nomic-embed-text:v1.5``."""
    name, colon, tag = text.partition(":")
    return is_name(name) and (not colon or (is_name(tag) and "/" not in tag))


def _folder(source: str, base: Path) -> Path:
    try:
        return files.real(base / Path(source).expanduser())
    except (RuntimeError, OSError, ValueError) as err:  # an unknown ~user, links in a circle, a NUL
        raise ValueError(f"{source!r} is not a folder: {err}") from None


def _options(pairs: list[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if key not in OPTIONS or not equals or not value:
            known = ", ".join(f"{option}=" for option in OPTIONS)
            raise ValueError(
                f"{pair!r} is not an option; options are {known} each with a value, and a folder with a "
                "space in its name stands in double quotes"
            )
        if key in options:
            raise ValueError(f"{key}= stands twice; for several aliases write alias=ONE,TWO")
        options[key] = value
    return options
