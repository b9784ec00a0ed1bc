"""Which files are read, and how: names and globs to files of one kind."""

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from embed_onnx.errors import SetupError

Kind = Literal["txt", "jsonl", "csv", "tsv", "parquet"]
SUFFIXES: dict[str, Kind] = {
    ".txt": "txt",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
STANDARD_INPUT = "-"
FIELD = "text"
"""Where the text is, unless --field says otherwise."""
INDEX, META, REJECTS = ".index.npy", ".meta.json", ".rejects.jsonl"
"""Suffixes of the files that may lie beside an output."""

Column = Any
"""Values of a column that is kept, one a text: a list, or a ``pyarrow.Array``."""


class File(msgspec.Struct, frozen=True):
    """A file as it was when the run began; ``size`` in bytes, ``modified`` in nanoseconds."""

    path: str
    size: int = 0
    modified: int = 0


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """What is read. ``columns`` are the id, if there is one, and those that are kept; all are of one kind."""

    files: tuple[File, ...]
    kind: Kind
    field: str = FIELD
    id: str | None = None
    keep: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """What is kept of a record, the id first."""
        return self.keep if self.id is None else (self.id, *self.keep)

    @property
    def kept(self) -> tuple[str, ...]:
        """What ``columns`` are called in the output."""
        return self.keep if self.id is None else ("id", *self.keep)

    @property
    def size(self) -> int | None:
        """Bytes of all files; None if nobody can tell."""
        if self.files[0].path == STANDARD_INPUT:
            return None
        return sum(file.size for file in self.files)


def find(names: Sequence[str], kind: Kind | None, *, output: Path | None = None, **columns: Any) -> Inputs:
    """The files behind names and globs, in order; ``columns`` are fields of ``Inputs``.

    A glob's are sorted, without those that belong to the output.

    Raises:
        SetupError: A file is absent, given twice, or of an unknown or another kind.
    """
    paths = [path for name in names for path in _expand(name, output)]
    places: set[Path] = set()
    for path in paths:
        if Path(path).resolve() in places:
            raise SetupError(f"{path} is given twice; give every file once")
        places.add(Path(path).resolve())
    if STANDARD_INPUT in paths and len(paths) > 1:
        raise SetupError("- is standard input and cannot be joined with files; give one or the other")
    kinds = {path: kind or _kind(path) for path in paths}
    first = kinds[paths[0]]
    for path, other in kinds.items():
        if other != first:
            raise SetupError(f"{paths[0]} is {first} and {path} is {other}; embed one kind at a time")
    return Inputs(files=tuple(stat(path) for path in paths), kind=first, **columns)


def belongs(path: str, output: Path) -> bool:
    """Whether a file is an output, one of those beside it, or of the run that makes it."""
    where, place = Path(path).resolve(), output.resolve()
    own = [place, *(Path(f"{place}{suffix}") for suffix in (INDEX, META, REJECTS))]
    return where in own or where.is_relative_to(f"{place}.partial")


def _expand(name: str, output: Path | None) -> list[str]:
    if name == STANDARD_INPUT:
        return [name]
    if Path(name).is_dir():
        raise SetupError(f"{name} is a folder; give files, or a glob in quotes such as '{name}/*.txt'")
    if Path(name).is_fifo():
        raise SetupError(f"{name} is a pipe, which can be read only once; give it as standard input, -")
    if Path(name).exists():
        return [str(Path(name).absolute())]
    # Path.glob takes no absolute pattern.
    hits = (path for path in glob.glob(name, recursive=True) if Path(path).is_file())  # noqa: PTH207
    found = sorted(path for path in hits if output is None or not belongs(path, output))
    if not found:
        raise SetupError(f"{name} does not exist, and matches no file; to embed a text itself, use --text")
    return [str(Path(path).absolute()) for path in found]


def _kind(path: str) -> Kind:
    if path == STANDARD_INPUT:
        return "txt"
    suffix = Path(path.removesuffix(".gz")).suffix.lower()
    if suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise SetupError(f"{path} ends in none of {known} (or these and .gz); say what it is with --format")
    return SUFFIXES[suffix]


def stat(path: str) -> File:
    """The file as it is now.

    Raises:
        OSError: It is gone, or may not be looked at.
    """
    if path == STANDARD_INPUT:
        return File(path)
    found = Path(path).stat()
    return File(path, found.st_size, found.st_mtime_ns)
