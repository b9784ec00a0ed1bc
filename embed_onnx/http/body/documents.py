"""The texts of requests for scores, out of fields that their structs hold undecoded."""

import re
from typing import Any

import msgspec

from embed_onnx.errors import InvalidRequest
from embed_onnx.http.body import inputs, reading
from embed_onnx.http.body.inputs import LARGE_BYTES, Field
from embed_onnx.models.inputs import Item
from embed_onnx.settings import Settings

TEXT_KEY = re.compile(rb'"text"\s*:')
QUERY = Field("query", is_list=False)
TEXT_OR_TEXTS = {
    "any_of": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "string"}}]
}
DOCUMENTS_SCHEMA = {
    "type": "array",
    "minItems": 1,
    "items": {
        "any_of": [
            {"type": "string", "minLength": 1},
            {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
        ]
    },
}
"""``texts`` reads them; a list has documents of one form."""


class Document(msgspec.Struct, frozen=True):
    """A document as an object; its other fields are not read."""

    text: str


OBJECTS = msgspec.json.Decoder(list[Document])
SEQUENCES: dict[bytes, msgspec.json.Decoder[Any]] = {
    b'"': msgspec.json.Decoder(str),
    b'["': msgspec.json.Decoder(list[str]),
    b"[[": msgspec.json.Decoder(list[list[str]]),
}
"""By the first characters of what text-embeddings-inference calls a sequence, or a batch of them."""


def query(text: str, settings: Settings) -> str:
    """A query that is not empty and not too long.

    Raises:
        InvalidRequest: It is.
    """
    return _checked([text], settings, QUERY)[0]


def texts(value: msgspec.Raw, settings: Settings, field: Field) -> list[str]:
    """A list of texts, or of objects with a text each.

    Raises:
        InvalidRequest: It is something else, there are none or too many, or one is empty or too long.
    """
    json = bytes(value)
    if re.match(rb"\[\s*\{", json):
        if len(json) > LARGE_BYTES and (items := len(TEXT_KEY.findall(json))) > settings.max_inputs:
            raise inputs.too_many(f"{items}", settings.max_inputs, field)
        documents = reading.decode(json, OBJECTS, field=field.name)
        return _checked([document.text for document in documents], settings, field)
    if not re.match(rb'\[\s*["\]]', json):
        raise InvalidRequest(f"{field.name} is of the wrong type; send a list of texts", param=field.name)
    return text_or_texts(value, settings, field)


def text_or_texts(value: msgspec.Raw, settings: Settings, field: Field) -> list[str]:
    """A text alone, or a list of texts, as a list.

    Raises:
        InvalidRequest: It is something else, there are none or too many, or one is empty or too long.
    """
    parsed = inputs.parse(
        value, max_inputs=settings.max_inputs, max_characters=settings.max_characters, field=field
    )
    alone = [item for item in parsed if isinstance(item, str)]
    if len(alone) < len(parsed):
        raise InvalidRequest(f"{field.name} is token ids; send texts", param=field.name)
    return alone


def sequences(value: msgspec.Raw, settings: Settings, field: Field) -> tuple[list[Item], bool]:
    """What text-embeddings-inference classifies, and whether it is one alone.

    A text, or a list of one or two: a text or a pair; or a list of such lists.

    Raises:
        InvalidRequest: It is something else, there are none or too many, or one is empty or too long.
    """
    json = bytes(value)
    start = re.match(rb"(\[?)\s*(.?)", json, re.DOTALL)
    assert start is not None  # noqa: S101 - it matches everything
    kind = b"".join(start.groups())
    if kind == b"[]":
        raise InvalidRequest(f"{field.name} is an empty list; send at least one text", param=field.name)
    if kind not in SEQUENCES:
        raise InvalidRequest(
            f"{field.name} is of the wrong type; send a text, a pair of texts, or a list of lists of one or "
            "two texts",
            param=field.name,
        )
    strings = (json.count(b'"') - json.count(b'\\"')) // 2
    if len(json) > LARGE_BYTES and strings > 2 * settings.max_inputs:
        raise inputs.too_many(f"at least {strings // 2}", settings.max_inputs, field)
    decoded = reading.decode(json, SEQUENCES[kind], field=field.name)
    batch = [[decoded]] if isinstance(decoded, str) else decoded if kind == b"[[" else [decoded]
    for index, item in enumerate(batch):
        if len(item) not in (1, 2):
            raise InvalidRequest(
                f"{field.item(index)} has {len(item)} texts; send one, or two for a pair", param=field.name
            )
        _checked(item, settings, Field(field.item(index), is_list=False))
    if len(batch) > settings.max_inputs:
        raise inputs.too_many(f"{len(batch)}", settings.max_inputs, field)
    return [item[0] if len(item) == 1 else (item[0], item[1]) for item in batch], kind != b"[["


def _checked(items: list[str], settings: Settings, field: Field) -> list[str]:
    """Texts that were decoded, if they are within the limits."""
    inputs.parse(items, max_inputs=settings.max_inputs, max_characters=settings.max_characters, field=field)
    if not items:
        raise InvalidRequest(f"{field.name} is an empty list; send at least one text", param=field.name)
    return items
