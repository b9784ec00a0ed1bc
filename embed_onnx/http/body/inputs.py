"""The inputs of a request, texts or token ids, out of a field that its struct holds undecoded."""

import re
from typing import Any

import msgspec
from msgspec import Meta

from embed_onnx.errors import InvalidRequest
from embed_onnx.http.body import reading

Inputs = list[str] | list[list[int]]
"""Texts, or each input's token ids."""

DECODERS: dict[bytes, msgspec.json.Decoder[Any]] = {
    b'"': msgspec.json.Decoder(str),
    b'["': msgspec.json.Decoder(list[str]),
    b"[0": msgspec.json.Decoder(list[int]),
    b"[[": msgspec.json.Decoder(list[list[int]]),
}
"""By the first characters of an input; 0 stands for a number."""
LARGE_BYTES = 65_536
"""An input of more JSON than this is counted before it is decoded."""
MAX_IDS = 1_048_576
"""Token ids in all inputs of a request. Decoding so many holds up the event loop for about 70 ms."""


class Field(msgspec.Struct, frozen=True):
    """How errors name the field that holds the inputs: ``input`` and ``input[3]``, or a wire's own word."""

    name: str = "input"
    is_list: bool = True
    """Whether an input has a place in the field. False: the field is one text."""

    def item(self, index: int) -> str:
        """One input's name."""
        return f"{self.name}[{index}]" if self.is_list else self.name

    def rename(self, err: InvalidRequest) -> None:
        """Name the field in an error of the model, which calls it ``input``."""
        sentence = str(err)
        if err.param != INPUT.name or not sentence.startswith(INPUT.name):
            return
        rest = sentence.removeprefix(INPUT.name)
        err.args = (self.name + (rest if self.is_list else rest.removeprefix("[0]")),)
        err.param = self.name


INPUT = Field()


def schema(*, empty_texts: bool = False) -> dict[str, Any]:
    """A text, texts, one input's token ids, or several inputs' ids, for OpenAPI; ``parse`` reads them."""
    text = {"type": "string", "minLength": 0 if empty_texts else 1}
    ids = {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}}
    lists = [{"type": "array", "minItems": 1, "items": items} for items in (text, ids)]
    return {"any_of": [text, ids, *lists]}


def described(*, documents: bool = False, empty_texts: bool = False) -> Meta:
    """A field that ``parse`` reads, for OpenAPI; its texts may be ``documents`` unless they are queries."""
    role = "; documents, unless `prompt_name` or `input_type` is `query`" if documents else ""
    return Meta(
        description=f"A text, a list of texts, or token ids of the model's own{role}.",
        extra_json_schema={"extra": schema(empty_texts=empty_texts)},
    )


def parse(
    value: msgspec.Raw | list[str],
    *,
    max_inputs: int,
    max_characters: int,
    empty_texts: bool = False,
    empty_ids: bool = False,
    field: Field = INPUT,
) -> Inputs:
    """Inputs out of JSON, one or a list of them, or texts that were decoded already; in any case a list.

    Raises:
        InvalidRequest: There are none or too many, one is empty or too long, or kinds are mixed.
    """
    inputs = value if isinstance(value, list) else _decode(value, max_inputs, max_characters, field)
    if len(inputs) > max_inputs:
        raise too_many(f"{len(inputs)}", max_inputs, field)
    for index, item in enumerate(inputs):
        if not item and not (empty_texts if isinstance(item, str) else empty_ids):
            raise InvalidRequest(f"{field.item(index)} is empty; leave it out", param=field.name)
        if len(item) > max_characters:
            unit = "characters" if isinstance(item, str) else "token ids"
            raise InvalidRequest(
                f"{field.item(index)} has {len(item)} {unit} and at most {max_characters} are taken; "
                "send it in parts",
                param=field.name,
            )
    return inputs


def _decode(value: msgspec.Raw, max_inputs: int, max_ids: int, field: Field) -> Inputs:
    """Decode by the kind that the first characters show; a decoder of one kind stops at another."""
    json = bytes(value)
    kind = _kind(json, field)
    if len(json) > LARGE_BYTES:
        _count_undecoded(json, kind, max_inputs, max_ids, field)
    decoded = reading.decode(json, DECODERS[kind], field=field.name)
    return [decoded] if kind in (b'"', b"[0") else decoded


def _kind(json: bytes, field: Field) -> bytes:
    """What the first characters say of an input: a key of ``DECODERS``."""
    if json.startswith(b'"'):
        return b'"'
    start = re.match(rb"(\[?)\s*(.?)", json, re.DOTALL)
    assert start is not None  # noqa: S101 - it matches everything
    kind = re.sub(rb"[-\d]", b"0", b"".join(start.groups()))
    if kind == b"[]":
        raise InvalidRequest(f"{field.name} is an empty list; send at least one text", param=field.name)
    if kind not in DECODERS:
        raise InvalidRequest(
            f"{field.name} is of the wrong type; send a text, texts, or lists of token ids", param=field.name
        )
    return kind


def _count_undecoded(json: bytes, kind: bytes, max_inputs: int, max_ids: int, field: Field) -> None:
    """Refuse millions of items by their number of brackets, quotes or commas.

    Each of them would become an object, and 16 MB of ``[],`` take seconds in which nothing else runs.
    The bounds are exact: what they refuse has that many items at least, or is not a valid input.
    """
    if kind == b'"':
        return
    if kind == b'["':
        items = (json.count(b'"') - json.count(b'\\"')) // 2
        if items > max_inputs:
            raise too_many(f"at least {items}", max_inputs, field)
        return
    lists = max(1, json.count(b"[") - 1)
    if lists > max_inputs:
        raise too_many(f"{lists}", max_inputs, field)
    ids = json.count(b",") + 1
    most = min(lists * max_ids, MAX_IDS)
    if ids > most:
        raise InvalidRequest(
            f"{field.name} has {ids} token ids and at most {most} are taken in one request; send it in parts",
            param=field.name,
        )


def too_many(items: str, max_inputs: int, field: Field) -> InvalidRequest:
    """The refusal of so many items."""
    return InvalidRequest(
        f"{field.name} has {items} items and at most {max_inputs} are taken; send several requests",
        param=field.name,
    )
