"""Which files are read, and how: names and globs to files of one kind."""

import codecs
import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from embed_onnx import files
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
UTF_8 = "utf-8"
DELIMITERS: dict[Kind, str] = {"csv": ",", "tsv": "\t"}
"""Of the kinds that have one, unless --delimiter says otherwise."""
OF_NAMES = {"idna", "punycode"}
"""Encodings that Python has for names of hosts, not for texts."""
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
    """What is read, all of one kind. Without a ``header``, columns go by their numbers, from 1.

    ``delimiter`` is None without that option, and ``encoding`` the name that Python gives it. ``second`` is
    where the second texts of pairs are, the first being in ``field``; a plan of single texts is without it.
    """

    files: tuple[File, ...]
    kind: Kind
    field: str = FIELD
    second: str | msgspec.UnsetType = msgspec.UNSET
    id: str | None = None
    keep: tuple[str, ...] = ()
    header: bool = True
    delimiter: str | None = None
    encoding: str = UTF_8

    @property
    def fields(self) -> tuple[str, ...]:
        """Where the text is, or both texts of a pair are."""
        return (self.field,) if self.second is msgspec.UNSET else (self.field, self.second)

    @property
    def pairs(self) -> bool:
        """Whether a record is a pair of texts."""
        return self.second is not msgspec.UNSET

    @property
    def option(self) -> str:
        """What messages say of the option that names the fields."""
        return (
            "the columns of both texts with --pair" if self.pairs else "the column of the texts with --field"
        )

    @property
    def options(self) -> str:
        """The options that name columns."""
        return f"{self._flag}, --id and --keep"

    @property
    def _flag(self) -> str:
        return "--pair" if self.pairs else "--field"

    @property
    def separator(self) -> str:
        """What is between the columns of a line; empty where lines have none."""
        return self.delimiter or DELIMITERS.get(self.kind, "")

    @property
    def label(self) -> str:
        """What the encoding is called in messages."""
        return self.encoding.upper()

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
        """Bytes of all files; None of standard input."""
        if self.files[0].path == STANDARD_INPUT:
            return None
        return sum(file.size for file in self.files)


def find(names: Sequence[str], kind: Kind | None, *, output: Path | None = None, **columns: Any) -> Inputs:
    """The files behind names and globs, in order; ``columns`` are fields of ``Inputs``.

    A glob's are sorted, without those that belong to the output.

    Raises:
        SetupError: A file is absent, given twice, or of an unknown or another kind, or a field does not fit.
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
            raise SetupError(f"{paths[0]} is {first} and {path} is {other}; give files of one kind at a time")
    inputs = Inputs(files=tuple(stat(path) for path in paths), kind=first, **columns)
    _check_columns(inputs)
    return inputs


def delimiter(word: str) -> str:
    """The character that ``--delimiter`` means.

    Raises:
        SetupError: It is not one character, or one that cannot separate columns.
    """
    sign = "\t" if word in ("tab", "\\t") else word
    if len(sign) != 1 or sign in '"\r\n\0':
        raise SetupError(
            f"--delimiter {word!r} is not one character that can be between columns; give one such as ';' or "
            "'|', or the word tab"
        )
    return sign


def encoding(word: str) -> str:
    """Python's own name of an encoding.

    Raises:
        SetupError: It is not an encoding of texts.
    """
    try:
        "".encode(word)  # unlike codecs.lookup, refuses codecs from bytes to bytes
        name = codecs.lookup(word).name
    except (LookupError, UnicodeError, ValueError):
        name = ""
    if not name or name in OF_NAMES:
        raise SetupError(
            f"--encoding {word!r} is not known; give one such as utf-8, utf-16, latin-1, cp1252 or shift_jis"
        )
    return UTF_8 if name == "utf-8-sig" else name


def _check_columns(inputs: Inputs) -> None:
    """Refuse what does not go together, before any file is opened."""
    if inputs.kind not in DELIMITERS and (inputs.delimiter is not None or not inputs.header):
        raise SetupError(
            "--delimiter and --no-header are for CSV and TSV; leave them out, or add --format csv"
        )
    if inputs.kind == "parquet" and inputs.encoding != UTF_8:
        raise SetupError("--encoding is for files of lines, and Parquet is always UTF-8; leave it out")
    if inputs.pairs and inputs.kind == "txt":
        raise SetupError(
            "a line of text is not a pair of texts; give CSV, TSV, JSON lines or Parquet, or --query TEXT"
        )
    for name in () if inputs.header else (*inputs.fields, *inputs.columns):
        if not name.isdecimal() or int(name) < 1:
            example = "--pair 1,2" if inputs.pairs else "--field 1"
            raise SetupError(
                f"without a header, columns go by their numbers, from 1, and {name!r} is not one; give "
                f"numbers to {inputs.options}, such as {example}"
            )


def belongs(path: str, output: Path) -> bool:
    """Whether a file is an output, one of those beside it, or of the run that makes it."""
    where, place = files.real(Path(path)), files.real(output)
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
    matches = sorted(path for path in hits if output is None or not belongs(path, output))
    if not matches:
        raise SetupError(
            f"{name} does not exist, and matches no file; to embed a text itself, use `embed --text`"
        )
    return [str(Path(path).absolute()) for path in matches]


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
    status = Path(path).stat()
    return File(path, status.st_size, status.st_mtime_ns)
