"""API keys: who may use this server, and who may administer it.

A key file has one key a line, as ``embed-onnx key new`` writes it; ``#`` begins a comment:

    NAME sha256:DIGEST [admin]

The key itself is in no file. Its digest is plain SHA-256, without salt or stretching: those protect
passwords, which can be guessed, and a key is 256 random bits, which cannot.
"""

import contextlib
import hashlib
import hmac
import logging
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from embed_onnx import files
from embed_onnx.errors import SetupError
from embed_onnx.settings import Settings

log = logging.getLogger(__name__)

PREFIX = "eo_"
"""What new keys begin with, so that people and scanners recognise them."""
NAME_PATTERN = rf"(?!{PREFIX})[A-Za-z0-9][A-Za-z0-9._-]{{0,63}}"
"""Names are written to the log, so no key of ours matches this."""
NAME_RULE = f"a name is up to 64 letters, digits, '.', '_' and '-', and does not begin with {PREFIX}"
DIGEST_PATTERN = r"sha256:([0-9A-Fa-f]{64})"


class Key(msgspec.Struct, frozen=True):
    """A key as the server knows it; ``digest`` is its SHA-256, 32 bytes."""

    name: str
    digest: bytes
    admin: bool = False


class Keys:
    """The keys of a server; without any, it requires none."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys = tuple(keys)
        self.has_admin = any(key.admin for key in self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, word: str) -> Key | None:
        """The key that ``word`` is. Every key is compared, so that the time taken says nothing about keys."""
        digest = _digest(word)
        matches = [key for key in self._keys if hmac.compare_digest(digest, key.digest)]
        return matches[0] if matches else None


def load(settings: Settings) -> Keys:
    """The keys of ``--api-keys-file``, and those of ``--api-keys``: ``key-1``, ``key-2``, never admin.

    Raises:
        SetupError: The file cannot be read or trusted, or holds no key, which must not open the server.
    """
    path = settings.api_keys_file
    listed = [] if path is None else read(path)
    if path is not None and not listed:
        raise SetupError(f"{path} holds no key; make one with `embed-onnx key new NAME --file {path}`")
    plain = [Key(f"key-{number}", _digest(key)) for number, key in enumerate(settings.api_keys, start=1)]
    taken = {key.name for key in plain} & {key.name for key in listed}
    if taken:
        raise SetupError(
            f"{path} names a key {min(taken)!r}, as those of --api-keys are called; give it another name"
        )
    return Keys([*listed, *plain])


def read(path: Path) -> list[Key]:
    """The keys of a file, in order; perhaps none.

    Raises:
        SetupError: The file cannot be read, others may write to it, or a line is wrong. What the line
            says is not repeated: it may be a key.
    """
    return _parse(_text(path), path)


def add(path: Path, name: str, *, admin: bool = False) -> str:
    """Make a key, append its digest to a file, and return the key, which is stored nowhere.

    Raises:
        SetupError: The name is malformed or taken, or the file cannot be read or written.
    """
    if not _is_name(name):
        raise SetupError(f"{name!r} cannot name a key; {NAME_RULE}")
    with _changing(path) as real:
        text = _text(real) if real.exists() else ""
        if name in [key.name for key in _parse(text, path)]:
            raise SetupError(
                f"{path} has a key {name!r}; choose another name, or remove it with "
                f"`embed-onnx key remove {name} --file {path}`"
            )
        key = PREFIX + secrets.token_urlsafe(32)
        line = f"{name} sha256:{_digest(key).hex()}" + " admin" * admin
        gap = "\n" if text and not text.endswith("\n") else ""
        _replace(real, f"{text}{gap}{line}\n")
    return key


def remove(path: Path, name: str) -> None:
    """Take a key out of a file.

    Raises:
        SetupError: There is no such key, or the file cannot be read or written.
    """
    with _changing(path) as real:
        text = _text(real)
        names = [key.name for key in _parse(text, path)]
        if name not in names:
            raise SetupError(f"{path} has no key {name!r}; it has {', '.join(names) or 'none'}")
        lines = text.splitlines(keepends=True)
        _replace(real, "".join(line for line in lines if _words(line)[:1] != [name]))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _is_name(word: str) -> bool:
    return re.fullmatch(NAME_PATTERN, word) is not None


def _words(line: str) -> list[str]:
    return line.partition("#")[0].split()


def _text(path: Path) -> str:
    """What a file says, if none but its owner can have written it."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read().decode("utf-8-sig")
    except OSError as err:
        raise SetupError(
            f"the key file {path} cannot be read: {err.strerror}; name another, let the server's user read "
            f"it, or make it with `embed-onnx key new NAME --file {path}`"
        ) from None
    except UnicodeDecodeError as err:
        raise SetupError(f"the key file {path} is not UTF-8 (byte {err.start}); save it as UTF-8") from None
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SetupError(
            f"others than its owner can write to the key file {path} (mode {mode:04o}) and so let themselves "
            f"in; run `chmod go-w {path}`"
        )
    if mode & stat.S_IROTH:
        log.warning("everybody can read the key file %s (mode %04o); run `chmod o-r %s`", path, mode, path)
    return text


def _parse(text: str, path: Path) -> list[Key]:
    keys: list[Key] = []
    lines: dict[str | bytes, int] = {}  # of names and digests
    for number, line in enumerate(text.splitlines(), start=1):
        words = _words(line)
        if not words:
            continue
        try:
            key = _key(words, path)
            _claim(key, number, lines)
        except ValueError as err:
            raise SetupError(f"{path}, line {number}: {err}") from None
        keys.append(key)
    return keys


def _key(words: list[str], path: Path) -> Key:
    new = f"`embed-onnx key new NAME --file {path}`"
    if len(words) == 1:
        raise ValueError(
            f"a plain key, or no key at all; this file takes hashes: remove the line, then {new}"
        )
    name, digest, *more = words
    match = re.fullmatch(DIGEST_PATTERN, digest)
    if not match:
        raise ValueError(f"the second word is not sha256: and 64 hex digits; remove the line, then {new}")
    if not _is_name(name):
        raise ValueError(f"the first word is not a name; {NAME_RULE}")
    if more not in ([], ["admin"]):
        raise ValueError("after the hash there may be the word admin and nothing else")
    return Key(name, bytes.fromhex(match[1]), bool(more))


def _claim(key: Key, number: int, lines: dict[str | bytes, int]) -> None:
    """Book a key's name and digest as those of a line; each stands once."""
    for what, value in (("name", key.name), ("key", key.digest)):
        if value in lines:
            raise ValueError(f"the same {what} as in line {lines[value]}; remove one of them")
        lines[value] = number


@contextlib.contextmanager
def _changing(path: Path) -> Iterator[Path]:
    """The file behind links, with its folder locked, so that two changes at a time are both kept."""
    try:
        real = files.real(path)
        with files.locked(real.parent):
            yield real
    except OSError as err:
        raise SetupError(
            f"the key file {path} cannot be written: {err.strerror}; it must be in a folder that is there "
            "and that you may write to"
        ) from None


def _replace(path: Path, text: str) -> None:
    files.replace(path, text.encode(), mode=0o600)  # of an old file, the server's user goes on reading it
