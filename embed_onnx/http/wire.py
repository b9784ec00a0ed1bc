"""What goes over the wire: OpenAI's embeddings API, and a few fields of our own.

Requests tolerate fields that we do not know, as clients send extras; of those of other APIs that would change
a vector, ``foreign`` knows what becomes. ``body`` decodes them.
"""

import base64
import re
import uuid
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType

from embed_onnx.artifact.manifest import Parity
from embed_onnx.errors import EmbedError, InvalidRequest
from embed_onnx.http import body
from embed_onnx.models.options import EmbeddingOptions, TextOptions

Inputs = list[str] | list[list[int]]
"""Texts, or each input's token ids."""


def input_schema(*, empty_texts: bool = False) -> dict[str, Any]:
    """A text, texts, one input's token ids, or several inputs' ids; ``parse_input`` reads them."""
    text = {"type": "string", "minLength": 0 if empty_texts else 1}
    ids = {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}}
    lists = [{"type": "array", "minItems": 1, "items": items} for items in (text, ids)]
    return {"any_of": [text, ids, *lists]}


INPUT_SCHEMA = input_schema()
TEXTS_SCHEMA = {
    "any_of": [
        {"type": "string"},
        {"type": "array", "minItems": 1, "items": {"type": "string"}},
        {"type": "null"},
    ]
}
VECTOR_SCHEMA = {
    "any_of": [
        {"type": "array", "items": {"type": "number"}},
        {"type": "string", "contentEncoding": "base64"},
    ]
}

INPUT_DECODERS: dict[bytes, msgspec.json.Decoder[Any]] = {
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

REQUEST_ID_CHARACTERS = 128
"""A client's x-request-id is echoed up to this length."""

EncodingFormat = Literal["float", "base64"]


class EmbeddingRequest(EmbeddingOptions, frozen=True, kw_only=True):
    """POST /v1/embeddings."""

    input: Annotated[
        msgspec.Raw,
        Meta(
            description="A text, a list of texts, or token ids of the model's own.",
            extra_json_schema={"extra": INPUT_SCHEMA},
        ),
    ]
    model: Annotated[str | None, Meta(description="Left out: the first model that is served.")] = None
    encoding_format: Annotated[
        EncodingFormat | None, Meta(description="`base64`: little-endian float32.")
    ] = None
    user: Annotated[
        str | float | bool | None, Meta(description="Accepted and ignored; OpenAI's is a string.")
    ] = None


class Embedding(msgspec.Struct, frozen=True, kw_only=True):
    """One input's vector: a list of numbers, or a base64 string."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: Annotated[
        msgspec.Raw,
        Meta(
            description="A list of numbers, or a base64 string.", extra_json_schema={"extra": VECTOR_SCHEMA}
        ),
    ]
    num_tokens: int
    truncated: bool | UnsetType = UNSET


class Usage(msgspec.Struct, frozen=True):
    """Tokens of the whole request, special tokens included."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingResponse(msgspec.Struct, frozen=True, kw_only=True):
    """``data`` keeps the order of ``input``."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage
    id: str
    created: int


class TokenizeRequest(TextOptions, frozen=True, kw_only=True):
    """POST /tokenize."""

    input: Annotated[
        msgspec.Raw | UnsetType,
        Meta(description="A text, a list of texts, or token ids.", extra_json_schema={"extra": INPUT_SCHEMA}),
    ] = UNSET
    inputs: Annotated[
        msgspec.Raw | UnsetType,
        Meta(
            description="In place of `input`, a text or a list of texts: the answer is that of "
            "text-embeddings-inference, a list of tokens for each text, which is not cut.",
            extra_json_schema={"extra": TEXTS_SCHEMA},
        ),
    ] = UNSET
    model: Annotated[str | None, Meta(description="Left out: the first model that is served.")] = None


class Tokenized(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens the model would see, special tokens included, cut at its limit."""

    index: int
    tokens: list[str]
    ids: list[int]
    num_tokens: int
    truncated: bool | UnsetType = UNSET


class TokenizeResponse(msgspec.Struct, frozen=True, kw_only=True):
    """``data`` keeps the order of ``input``."""

    model: str
    data: list[Tokenized]


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """One name of a served model, as OpenAI lists it, with what an embedder's user wants to know.

    ``root`` is the model's own name, the same as ``id`` unless that is one of its ``aliases``. ``parity`` is
    that of what it runs on here; null if it was never measured.
    """

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    root: str
    aliases: list[str]
    dimensions: int
    max_tokens: int | None
    pooling: list[str]
    precision: str
    runs_on: str
    parity: Parity | None
    prompts: dict[str, str]
    default_prompt: str | None
    matryoshka: tuple[int, ...]
    """Lengths that the model was trained to be cut to; others work as well."""


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/models."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class Dim(msgspec.Struct, frozen=True):
    """The length of a model's vectors."""

    dim: int


class SimpleModels(msgspec.Struct, frozen=True):
    """The models by name."""

    models: dict[str, Dim]


class SimpleModelList(msgspec.Struct, frozen=True, kw_only=True):
    """GET /models: the simple form."""

    data: SimpleModels
    generated: str
    id: str


class Status(msgspec.Struct, frozen=True):
    """GET /health."""

    status: str


class Reloaded(msgspec.Struct, frozen=True):
    """POST /admin/reload: the names that are served now."""

    models: list[str]


class Readiness(msgspec.Struct, frozen=True):
    """GET /ready; no number while every model is out of memory, and none has been used yet."""

    status: str
    seconds_since_success: float | None


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """OpenAI's four keys."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorResponse(msgspec.Struct, frozen=True):
    """Every error, on every path."""

    error: ErrorBody


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The client's x-request-id where it can be echoed, or a new one."""
    given = next((value for name, value in headers if name == b"x-request-id"), b"")
    text = given.decode("latin-1")
    usable = text.isascii() and text.isprintable() and 0 < len(text) <= REQUEST_ID_CHARACTERS
    return text if usable else str(uuid.uuid4())


def error_response(err: EmbedError) -> ErrorResponse:
    """The body of a failed request."""
    return ErrorResponse(ErrorBody(message=str(err), type=err.type, param=err.param, code=err.code))


def parse_input(
    given: msgspec.Raw,
    *,
    max_inputs: int,
    max_characters: int,
    empty_texts: bool = False,
    empty_ids: bool = False,
) -> Inputs:
    """The request's inputs as texts, or as token ids.

    Raises:
        InvalidRequest: There are none or too many, one is empty or too long, or kinds are mixed.
    """
    items = _decode_input(bytes(given), max_inputs, max_characters)
    if len(items) > max_inputs:
        raise _too_many(f"{len(items)}", max_inputs)
    for index, item in enumerate(items):
        if not item and not (empty_texts if isinstance(item, str) else empty_ids):
            raise InvalidRequest(f"input[{index}] is empty; leave it out", param="input")
        if len(item) > max_characters:
            unit = "characters" if isinstance(item, str) else "token ids"
            raise InvalidRequest(
                f"input[{index}] has {len(item)} {unit} and at most {max_characters} are taken; "
                "send it in parts",
                param="input",
            )
    return items


def _decode_input(json: bytes, max_inputs: int, max_ids: int) -> Inputs:
    """Decode by the kind that the first characters tell; a decoder of one kind stops at another."""
    found = re.match(rb"(\[?)\s*(.?)", json, re.DOTALL)
    assert found is not None  # noqa: S101 - it matches everything
    kind = re.sub(rb"[-\d]", b"0", b"".join(found.groups()))
    if kind == b"[]":
        raise InvalidRequest("input is an empty list; send at least one text", param="input")
    if kind not in INPUT_DECODERS:
        raise InvalidRequest(
            "input is of the wrong type; send a text, texts, or lists of token ids", param="input"
        )
    if len(json) > LARGE_BYTES:
        _count_undecoded(json, kind, max_inputs, max_ids)
    decoded = body.decode(json, INPUT_DECODERS[kind], field="input")
    return [decoded] if kind in (b'"', b"[0") else decoded


def _count_undecoded(json: bytes, kind: bytes, max_inputs: int, max_ids: int) -> None:
    """Refuse millions of items by their number of brackets, quotes or commas.

    Each of them would become an object, and 16 MB of ``[],`` take seconds in which nothing else runs.
    The bounds are exact: what they refuse has that many items at least, or is no valid input.
    """
    if kind == b'"':
        return
    if kind == b'["':
        items = (json.count(b'"') - json.count(b'\\"')) // 2
        if items > max_inputs:
            raise _too_many(f"at least {items}", max_inputs)
        return
    lists = max(1, json.count(b"[") - 1)
    if lists > max_inputs:
        raise _too_many(f"{lists}", max_inputs)
    ids = json.count(b",") + 1
    most = min(lists * max_ids, MAX_IDS)
    if ids > most:
        raise InvalidRequest(
            f"input has {ids} token ids and at most {most} are taken in one request; send it in parts",
            param="input",
        )


def _too_many(items: str, max_inputs: int) -> InvalidRequest:
    return InvalidRequest(
        f"input has {items} items and at most {max_inputs} are taken; send several requests", param="input"
    )


def encode_vector(vector: np.ndarray, encoding_format: EncodingFormat | None) -> msgspec.Raw:
    """A float32 vector [dimensions] as JSON: numbers, or base64 of the little-endian bytes."""
    if encoding_format == "base64":
        return msgspec.Raw(b'"' + base64.b64encode(vector.astype("<f4", copy=False).tobytes()) + b'"')
    return msgspec.Raw(msgspec.json.encode(vector.tolist()))
