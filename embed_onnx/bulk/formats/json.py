"""JSON lines: an object a line, of which only the fields that the options name are decoded."""

import re
from typing import Any

import msgspec

from embed_onnx import surrogates
from embed_onnx.bulk.blocks import Record, item
from embed_onnx.bulk.formats.lines import Lines, Units
from embed_onnx.bulk.inputs import Inputs
from embed_onnx.errors import SetupError

CONSTANT = re.compile(rb'"(?:[^"\\]++|\\.)*+"|(-?Infinity|NaN)')
"""A string of JSON, or what Python writes for numbers that JSON does not have."""
MARKED, MARK = rb'"\u0000%s\u0000"', re.compile(rb"\\u0000(-?Infinity|NaN)\\u0000")
"""That as a string, and how it is known again."""


def open_json(lines: Lines, inputs: Inputs) -> Units:
    """A record an object; the fields that are kept stay as they are written."""
    names = list(dict.fromkeys([*inputs.fields, *inputs.columns]))  # the text may be kept, too
    places = [names.index(name) for name in inputs.columns]
    fields: list[tuple[str, Any, Any]] = [
        (f"f{number}", Any if name in inputs.fields else msgspec.Raw, msgspec.UNSET)
        for number, name in enumerate(names)
    ]
    rename = {field[0]: name for field, name in zip(fields, names, strict=True)}
    try:
        decoder = msgspec.json.Decoder(msgspec.defstruct("Line", fields, rename=rename))
    except ValueError as err:  # of quotes and backslashes
        raise SetupError(f"{inputs.options} name {', '.join(names)}: {err}") from None

    def record(line: bytes) -> Record:
        text, reason = lines.decode(line)
        if reason:
            return Record(lines.number, None, reason=reason)
        return _json_record(decoder, text, lines.number, inputs, places)

    return lines, record


def _json_record(decoder: Any, line: str, number: int, inputs: Inputs, places: list[int]) -> Record:
    constant = ""
    try:
        try:
            values = msgspec.structs.astuple(decoder.decode(line))
        except msgspec.ValidationError:
            return Record(number, None, reason="the line is JSON and not an object")
        except msgspec.DecodeError:
            values = msgspec.structs.astuple(decoder.decode(_tolerated(line)))
            texts = values[: len(inputs.fields)]
            constant = _constant([*texts, *(values[place] for place in places)])
    except (ValueError, RecursionError) as err:
        return Record(number, None, reason=f"the line is not valid JSON: {err}")
    if constant:
        return Record(number, None, reason=f"a field has {constant}, which is not JSON; write null")
    texts = values[: len(inputs.fields)]
    for name, text in zip(inputs.fields, texts, strict=True):
        if text is msgspec.UNSET:
            return Record(number, None, reason=f"there is no field {name!r}")
    kept = [_kept(values[place]) for place in places]
    if inputs.id is not None and kept[0] is None:
        return Record(number, None, reason=f"the id, field {inputs.id!r}, is missing or null")
    return Record(number, item(*texts), kept)


def _tolerated(line: str) -> bytes:
    """A line that is not JSON, as other programs write it, as JSON.

    Half of a surrogate pair is U+FFFD, as over HTTP. NaN and Infinity, which Python writes, become strings,
    known again by their NULs, so that a line is lost only if it has them where they matter.
    """
    whole = surrogates.replace_lone(line.encode())
    return CONSTANT.sub(lambda match: MARKED % match[1] if match[1] else match[0], whole)


def _constant(values: list[Any]) -> str:
    """Which of NaN and Infinity is in the first of some values that has one; empty if none has."""
    match = MARK.search(msgspec.json.encode([value for value in values if value is not msgspec.UNSET]))
    return match[1].decode() if match else ""


def _kept(value: Any) -> Any:
    """The text itself, or another field as it is written; None if it is absent or null."""
    if not isinstance(value, msgspec.Raw):
        return None if value is msgspec.UNSET else value
    return None if bytes(value) == b"null" else value.copy()  # without the rest of its line
