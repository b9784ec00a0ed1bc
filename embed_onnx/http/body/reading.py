"""A request's body to its struct: strictly at first, and once more leniently.

The hot path is one decoder that knows the route's fields and nothing else. A body that it refuses is read
again: it may have a byte order mark, half of a surrogate pair, words in another case, or unknown fields,
which ``foreign`` translates, refuses, or leaves out.
"""

import functools
import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from embed_onnx import surrogates
from embed_onnx.errors import InvalidRequest
from embed_onnx.http.body import foreign
from embed_onnx.http.body.options import CutOptions

OTHER_BYTES = 262_144
"""Bytes of a body beside its known fields. With more, unknown fields are skipped: each becomes an object."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

T = TypeVar("T", bound=msgspec.Struct)
D = TypeVar("D")


def read(body: bytes, kind: type[T]) -> T:
    """A body as the struct of its route; those with ``CutOptions`` know the fields of other APIs.

    Raises:
        InvalidRequest: It is not JSON, a field has the wrong type, or one has a value that is not served.
    """
    try:
        request: T = _decoder(kind).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_again(body.removeprefix(BYTE_ORDER_MARK), kind)
    return request


def _read_again(body: bytes, kind: type[T]) -> T:
    if body[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in body[:2]:
        raise InvalidRequest("The body is UTF-16 or UTF-32; send it as UTF-8")
    if not body.strip():
        raise InvalidRequest("the body is empty; send a JSON object")
    decoder: msgspec.json.Decoder[T] = _decoder(kind)
    if not issubclass(kind, CutOptions):
        return decode(body, decoder)
    body = surrogates.replace_lone(body)  # in all of it, as ``foreign`` decodes values
    translation = foreign.translate(_fields(body, kind), kind.__struct_fields__, kind.words)
    spellings = _spellings(kind)
    for name in spellings.keys() & translation.fields:
        word = bytes(translation.fields[name])
        translation.fields[name] = spellings[name].get(word.lower(), translation.fields[name])
    try:
        return decode(msgspec.json.encode(translation.fields), decoder)
    except InvalidRequest as err:
        if err.param not in translation.names:
            raise
        name = translation.names[err.param]
        raise InvalidRequest(str(err).replace(f"`$.{err.param}`", f"`$.{name}`"), param=name) from None


def _fields(body: bytes, kind: type[CutOptions]) -> foreign.Fields:
    """The fields of a body, not decoded; of one with too much beside its own, known fields alone."""
    if len(body) > OTHER_BYTES:
        names, known = _known(kind)
        values = zip(names, msgspec.structs.astuple(decode(body, known)), strict=True)
        fields = {name: value for name, value in values if value}
        if len(body) - sum(map(len, fields.values())) > OTHER_BYTES:
            return fields
    decoder: msgspec.json.Decoder[foreign.Fields] = _decoder(foreign.Fields)
    return decode(body, decoder)


def decode(json: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[D], *, field: str | None = None) -> D:
    """JSON as its decoder's type: a body, or one ``field`` that its struct holds undecoded.

    Half of a surrogate pair, which stands for no character, is read as U+FFFD.

    Raises:
        InvalidRequest: It is not JSON, or a field has the wrong type; ``param`` names the field.
    """
    try:
        return _decode_whole(json, decoder)
    except msgspec.ValidationError as err:
        message = str(err) if field is None else str(err).replace(" - at `$", f" - at `$.{field}")
        kind: Any = decoder.type
        name = _field(message)
        words = _enums(kind).get(name or "", ()) if "Invalid enum value" in message else ()
        listed = f"; it is one of {', '.join(words)}" if words else ""
        raise InvalidRequest(f"The request is not valid: {message}{listed}", param=name) from None
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply; send plain lists and strings") from None
    except UnicodeDecodeError as err:
        raise InvalidRequest(f"The body is not UTF-8: {err.reason} at a string's byte {err.start}") from None
    except msgspec.DecodeError as err:
        raise InvalidRequest(f"The body is not valid JSON: {err}") from None


def _decode_whole(json: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[D]) -> D:
    """Decode, with halves of surrogate pairs replaced if that fails."""
    try:
        return decoder.decode(json)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        whole = surrogates.replace_lone(bytes(json))
        if whole == json:
            raise
        return decoder.decode(whole)


def _field(message: str) -> str | None:
    """The top-level field a msgspec message is about: "... - at `$.input[1]`" is about input."""
    match = re.search(r" - at `\$\.(\w+)[^`]*`$", message) or re.search(
        r"missing required field `(\w+)`$", message
    )
    return match.group(1) if match else None


_decoder: Any = functools.cache(msgspec.json.Decoder)
"""The decoder of a type, built once."""


@functools.cache
def _known(kind: type[CutOptions]) -> tuple[tuple[str, ...], Any]:
    """The names of all fields that may count on a route, and a decoder of them as they are written."""
    names = tuple({*kind.__struct_fields__} | foreign.names(kind.words))
    return names, msgspec.json.Decoder(
        msgspec.defstruct("Known", [(name, msgspec.Raw, b"") for name in names])
    )


@functools.cache
def _enums(kind: Any) -> dict[str, tuple[str, ...]]:
    """The words of each field of a struct that takes only certain words."""
    described = inspect.type_info(kind)
    if not isinstance(described, inspect.StructType):
        return {}
    words = {field.encode_name: tuple(_words(field.type)) for field in described.fields}
    return {name: taken for name, taken in words.items() if taken}


@functools.cache
def _spellings(kind: Any) -> dict[str, dict[bytes, msgspec.Raw]]:
    """Of each field with words, their JSON in lower case, and as the struct has them."""
    written = {name: [msgspec.json.encode(word) for word in words] for name, words in _enums(kind).items()}
    return {name: {word.lower(): msgspec.Raw(word) for word in words} for name, words in written.items()}


def _words(kind: inspect.Type) -> Iterator[str]:
    """The words that a type takes, or a list of it, as in JSON but without quotes, if it takes words."""
    if isinstance(kind, inspect.Metadata):
        yield from _words(kind.type)
    if isinstance(kind, inspect.ListType):
        yield from _words(kind.item_type)
    if isinstance(kind, inspect.LiteralType):
        yield from map(str, kind.values)
    if isinstance(kind, inspect.UnionType) and any(
        isinstance(each, (inspect.LiteralType, inspect.ListType)) for each in kind.types
    ):
        for each in kind.types:
            yield from ("true", "false") if isinstance(each, inspect.BoolType) else _words(each)
