"""models.txt: which checkpoints are exported and served, one a line.

    all-MiniLM-L6-v2
    BAAI/bge-small-en-v1.5@5c38ec7  alias=text-embedding-3-small  prompt.query="query: "
    ./my-finetuned-model  name=support-v2  precision=float32   # a comment

A bare name means ``sentence-transformers/NAME`` on the hub, ``OWNER/NAME`` is that repository, and
``@revision`` pins one. Anything that starts with ``.``, ``/`` or ``~`` is a folder saved by
Sentence-Transformers, relative to the models file; in double quotes, its name may have spaces.
``key=value`` options follow, which ``line_options`` reads. The same lines may stand on a command line.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from embed_onnx import files
from embed_onnx.artifact import line_options
from embed_onnx.artifact.line_options import CHARACTERS
from embed_onnx.artifact.manifest import (
    NO_OVERRIDES,
    Exporter,
    Manifest,
    Overrides,
    Precision,
    is_name,
    sha256,
)
from embed_onnx.errors import ModelsFileError

BARE_NAME_OWNER = "sentence-transformers"
WEIGHTS = ".safetensors"
WORD = re.compile(rf'{line_options.QUOTED}(?!\S)|"(?P<folder>[^"]*)"|\S+')
"""An option with its value in quotes, a folder in quotes, or a word without spaces. Any other quotes, and
backslashes, are part of a folder's name."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line: ``folder`` for a local checkpoint, else ``repo`` and perhaps ``revision``.

    ``exporter`` is None where the first is used that can export the model.
    """

    name: str
    repo: str
    revision: str | None = None
    folder: Path | None = None
    aliases: tuple[str, ...] = ()
    precision: Precision = "int8"
    exporter: Exporter | None = None
    overrides: Overrides = NO_OVERRIDES

    def names(self) -> tuple[str, ...]:
        """Every name a client may use: the name, the repository (if no other line has it), the aliases."""
        repo = (self.repo,) if "/" in self.repo and not self.folder else ()
        return tuple(dict.fromkeys((self.name, *repo, *self.aliases)))

    def matches(self, manifest: Manifest) -> bool:
        """Whether an artifact is what this line says, as far as that shows without its source."""
        source = manifest.source
        same_repo = source.repo == (self.folder.name if self.folder else self.repo)
        pinned = self.revision is None or self.revision in (source.requested, source.revision)
        return same_repo and pinned and self.has_options_of(manifest)

    def has_options_of(self, manifest: Manifest) -> bool:
        """Whether an artifact was exported with the options of this line."""
        same_exporter = self.exporter in (None, manifest.exporter)
        return same_exporter and (self.precision, self.overrides) == (manifest.precision, manifest.overrides)

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


class _Line(msgspec.Struct, frozen=True):
    """A line that is not blank: where it stands, and its words."""

    place: str
    words: list[str]


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
    lines = [_Line(f"line {number}", _words(line)) for number, line in enumerate(text.split("\n"), start=1)]
    return list(_entries(lines, path.parent, f"{path}, "))


def listed(path: Path, lines: Sequence[str]) -> list[Entry]:
    """The entries of lines of a command line or, where there are none, of a models file.

    Raises:
        ModelsFileError: The file cannot be read, a line is wrong, or a name stands twice.
    """
    return of_command_line(lines) if lines else read(path)


def of_command_line(texts: Sequence[str]) -> list[Entry]:
    """The entries of lines that stand on a command line; folders are relative to the working folder.

    Raises:
        ModelsFileError: One is wrong, or a name stands twice.
    """
    lines = [_Line(f"the model {text!r}", _words(text)) for text in texts]
    blank = next((line for line in lines if not line.words), None)
    if blank is not None:
        raise ModelsFileError(f"{blank.place} has no name; give NAME, OWNER/NAME or ./FOLDER")
    return list(_entries(lines, Path(), ""))


def _entries(lines: Iterable[_Line], base: Path, file: str) -> Iterator[Entry]:
    taken: dict[str, str] = {}
    folders: list[str] = []
    for line in lines:
        if not line.words:
            continue
        try:
            entry = _entry(line.words, base=base)
        except ValueError as err:
            raise ModelsFileError(f"{file}{line.place}: {err}") from None
        for name in dict.fromkeys((entry.name, *entry.aliases)):
            if name in taken:
                raise ModelsFileError(
                    f"{file}{line.place}: the name {name!r} is taken by {taken[name]}; "
                    "give one of them another with name= or alias="
                )
            taken[name] = line.place
        nested = next((name for name in folders if _nested(name, entry.name)), None)
        if nested is not None:
            raise ModelsFileError(
                f"{file}{line.place}: the artifacts of {nested!r} and {entry.name!r} would be one folder "
                "inside the other; give one of them another name="
            )
        folders.append(entry.name)
        yield entry


def _nested(one: str, other: str) -> bool:
    return one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _words(line: str) -> list[str]:
    """Those before the first ``#`` that starts a word: folders may contain one."""
    words = itertools.takewhile(lambda word: not word[0].startswith("#"), WORD.finditer(line))
    return [word[0] if word["folder"] is None else word["folder"] for word in words]


def _entry(words: list[str], *, base: Path) -> Entry:
    source, *pairs = words
    options = line_options.read(pairs)
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
    name = options.name or name
    if not is_name(name):
        raise ValueError(f"{name!r} cannot name a model; use {CHARACTERS}, with name=")
    return Entry(
        name=name,
        repo=repo,
        revision=revision,
        folder=folder,
        aliases=options.aliases,
        precision=options.precision,
        exporter=options.exporter,
        overrides=options.overrides,
    )


def _folder(source: str, base: Path) -> Path:
    try:
        return files.real(base / Path(source).expanduser())
    except (RuntimeError, OSError, ValueError) as err:  # an unknown ~user, links in a circle, a NUL
        raise ValueError(f"{source!r} is not a folder: {err}") from None
