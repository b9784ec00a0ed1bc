"""Fields that are not a route's own: translated, refused, or left out.

Clients of OpenAI's API send extras, so unknown fields are ignored; but not those of ``words``, whose senders
expect another vector or score. What is one of our own or of ``words`` but for its spelling is refused, too.
"""

import difflib
import functools
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from embed_onnx.errors import InvalidRequest
from embed_onnx.http.body.words import NESTED, OTHER_MODELS, OTHER_TEXTS, Word

FIELDS_COMPARED = 64
"""Unknown fields of a request that are compared with our own, which takes 0.1 ms each."""
NAME_LENGTH = 40
"""Longer names are not compared: no field has one."""
SIMILARITY, LENGTHS_APART = 0.8, 2
"""A name counts as one of ours misspelt if it is so similar, by difflib's measure, and so near in length."""
WORD_SIMILARITY, WORD_LENGTH = 0.85, 7
"""The same for a word of another API, and its least length: short words resemble too many others."""
HARMLESS = {"user"}
"""Of our own fields, those that may be misspelt, as they change no vector."""
NESTED_BYTES = 65_536
"""Of such an object; each of its fields becomes an object of ours."""
VALUE_LENGTH = 80
"""How much of a value an error repeats."""
TEXTS = ("texts", "input", "inputs", "prompt")
"""Fields that hold the texts; the first of them that a route has counts."""

Fields = dict[str, msgspec.Raw]
"""A JSON object whose values are not decoded yet."""
NULL = msgspec.Raw(b"null")
EMPTY: tuple[Any, ...] = ("", [], {})
"""Values that change nothing."""


class _Field(NamedTuple):
    """A field of a request: its name, where it is (``options.num_ctx``), and its value."""

    name: str
    path: str
    value: msgspec.Raw


def names(words: Mapping[str, Word | None]) -> set[str]:
    """All ``words`` in snake case and in camel case, and the objects in which they may be."""
    camel = {re.sub(r"_(.)", lambda match: match[1].upper(), name) for name in words}
    return {*NESTED, *words} | camel


class Translation(msgspec.Struct, frozen=True):
    """A request in fields of our own; ``names`` are those that they were sent under, where they differ."""

    fields: Fields
    names: dict[str, str]


def translate(fields: Fields, own: tuple[str, ...], words: Mapping[str, Word | None]) -> Translation:
    """The fields of a request as those of its route, whose ``words`` others mean; the rest is left out.

    Raises:
        InvalidRequest: One has a value that is not served, is one of ours misspelt, or contradicts another.
    """
    ours = {name: value for name, value in fields.items() if name in own and name not in NESTED}
    names: dict[str, str] = {}
    cut = False
    unknown: list[_Field] = []
    others = [_Field(name, name, value) for name, value in fields.items() if name not in (*own, *NESTED)]
    for field in [*others, *_nested(fields, own)]:
        if field.value == NULL or len(field.name) > NAME_LENGTH:
            continue
        if field.name in own:
            _set(ours, names, field.name, field)
            continue
        plain = _snake(field.name)
        if plain in own or plain not in words:
            unknown.append(field)
            continue
        word = words[plain]
        if word is None:
            continue
        cut |= word.cuts
        name, meant = _meaning(field, word, own, words)
        if name is not None:
            _set(ours, names, name, field._replace(value=meant))
    if unknown:
        long_words = tuple(name for name, word in words.items() if word and len(name) >= WORD_LENGTH)
        for field in unknown[:FIELDS_COMPARED]:
            _refuse_misspelt(field, ours, own, long_words)
    if cut and ours.get("truncate", NULL) == NULL:
        ours["truncate"] = msgspec.Raw(b"true")
    return Translation(ours, names)


def _nested(fields: Fields, own: tuple[str, ...]) -> list[_Field]:
    """What is in ``NESTED`` objects.

    Raises:
        InvalidRequest: One that the route has is not an object, or one is too large.
    """
    nested: list[_Field] = []
    for place in NESTED:
        value = fields.get(place, NULL)
        if len(value) > NESTED_BYTES:
            raise InvalidRequest(
                f"{place} has {len(value)} bytes and at most {NESTED_BYTES} are taken; leave out what is not "
                "an option",
                param=place,
            )
        if bytes(value).startswith(b"{"):
            inside = msgspec.json.decode(value, type=Fields)
            nested += [_Field(name, f"{place}.{name}", each) for name, each in inside.items()]
        elif value != NULL and place in own:
            raise InvalidRequest(
                f"{place} is {_excerpt(value)}; send an object, or leave it out", param=place
            )
    return nested


def _set(ours: Fields, names: dict[str, str], name: str, field: _Field) -> None:
    """Set a field of ours to a value sent under another name; of two limits, the lower one holds.

    Raises:
        InvalidRequest: It is there already and differs.
    """
    other = ours.get(name, NULL)
    if other not in (NULL, field.value):
        limits = [bytes(each) for each in (other, field.value)]
        if name != "max_tokens" or not all(limit.isdigit() for limit in limits):
            raise InvalidRequest(
                f"{names.get(name, name)} and {field.path} are both there and differ; send one of them",
                param=field.path,
            )
        if int(limits[0]) < int(limits[1]):
            return
    ours[name], names[name] = field.value, field.path


def _meaning(
    field: _Field,
    word: Word,
    own: tuple[str, ...],
    words: Mapping[str, Word | None],
    translated: msgspec.Raw | None = None,
) -> tuple[str | None, msgspec.Raw]:
    """The field of ours that a word sets, None if its value changes nothing here, and the value for it.

    ``translated`` is what another word has made of the field's value, if one has; errors have what was sent.
    """
    value = field.value if translated is None else translated
    if word.cuts and value == msgspec.Raw(b"-1"):
        return word.field, NULL  # of vLLM: the model's own limit
    if word.values is None:
        other = None if word.field in own else words.get(str(word.field))
        return (word.field, value) if other is None else _meaning(field, other, own, words, translated)
    decoded = msgspec.json.decode(value)
    alone = decoded[0] if isinstance(decoded, list) and len(decoded) == 1 else decoded
    if alone in EMPTY or alone is None:
        return None, NULL
    plain = alone.lower() if isinstance(alone, str) else alone
    if isinstance(plain, (list, dict)) or plain not in word.values:
        raise _not_served(field.path, word, field.value)
    ours = word.elsewhere.get(plain, word.field)
    if ours is None or word.values[plain] is None:
        return None, NULL
    meant = msgspec.Raw(msgspec.json.encode(word.values[plain]))
    if ours in own:
        return ours, meant
    other = words[ours]
    return (None, NULL) if other is None else _meaning(field, other, own, words, meant)


def _not_served(name: str, word: Word, value: msgspec.Raw) -> InvalidRequest:
    """Names the field, the value, and what can be done."""
    taken = ", ".join(msgspec.json.encode(each).decode() for each in word.values or ())
    there = f"this route takes {taken}" if taken else "this route does not take it"
    return InvalidRequest(
        f"{name} is {_excerpt(value)}, and {there}: {word.remedy}, or leave it out", param=name
    )


def _excerpt(value: msgspec.Raw) -> str:
    """A value as it was sent, or its beginning."""
    sent = bytes(value).decode(errors="replace")
    return sent if len(sent) <= VALUE_LENGTH else sent[:VALUE_LENGTH] + "..."


def _refuse_misspelt(field: _Field, ours: Fields, own: tuple[str, ...], long_words: tuple[str, ...]) -> None:
    """Refuse an unknown field that is one of ours by another spelling, or holds the texts of another API."""
    plain, path = _snake(field.name), field.path
    texts = [name for name in TEXTS if name in own]
    absent = all(ours.get(name, NULL) == NULL for name in texts)
    if plain in OTHER_TEXTS and plain not in own and texts and absent:
        raise InvalidRequest(f"{path} is not a field of this route; send the texts as {texts[0]}", param=path)
    if "model" in own and plain in OTHER_MODELS and ours.get("model", NULL) == NULL:
        raise InvalidRequest(f"{path} is not a field of this route; send its name as model", param=path)
    near = _nearest(plain, own, long_words)
    if near is not None:
        raise InvalidRequest(f"{path} is not a field of this route; did you mean {near}?", param=path)


@functools.lru_cache(maxsize=1024)
def _nearest(name: str, own: tuple[str, ...], long_words: tuple[str, ...]) -> str | None:
    """Which of our fields or of the long words a name is, misspelt; None if it is something else."""
    for known, similarity in ((set(own) - HARMLESS, SIMILARITY), (long_words, WORD_SIMILARITY)):
        candidates = [each for each in known if abs(len(each) - len(name)) <= LENGTHS_APART]
        near = difflib.get_close_matches(name, candidates, n=1, cutoff=similarity)
        if near:
            return near[0]
    return None


@functools.lru_cache(maxsize=1024)
def _snake(name: str) -> str:
    """A name in snake case."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[- ]", "_", name).lower()
