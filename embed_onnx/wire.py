"""What goes over the wire: OpenAI's embeddings API, and a few fields of our own.

Requests tolerate fields that we do not know, as clients send extras. A body is decoded once,
straight into its struct, by a decoder that is built once.
"""

import base64
import re
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType

from embed_onnx.errors import EmbedError, InvalidRequest

Input = str | list[str | int | list[int]]
Inputs = list[str | list[int]]
"""A text, texts, one input's token ids, or several inputs' ids; ``parse_input`` checks which."""

EncodingFormat = Literal["float", "base64"]
T = TypeVar("T")


class EmbeddingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/embeddings."""

    input: Annotated[Input, Meta(description="A text, a list of texts, or token ids of the model's own.")]
    model: Annotated[str | None, Meta(description="Left out: the first model that is served.")] = None
    encoding_format: Annotated[
        EncodingFormat | None, Meta(description="`base64`: little-endian float32.")
    ] = None
    dimensions: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Cut vectors to this length and normalise again."),
    ] = None
    user: Annotated[Any, Meta(description="Accepted and ignored.")] = None
    prompt_name: Annotated[
        str | None, Meta(description="One of the model's prompts, put before each text.")
    ] = None
    prompt: Annotated[str | None, Meta(description="A literal prefix; not together with `prompt_name`.")] = (
        None
    )
    truncate: Annotated[
        bool | None, Meta(description="Cut a text that is too long, or refuse it; default: the server's.")
    ] = None


class Embedding(msgspec.Struct, frozen=True, kw_only=True):
    """One input's vector: a list of numbers, or a base64 string."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: Annotated[msgspec.Raw, Meta(description="A list of numbers, or a base64 string.")]
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


class TokenizeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST /tokenize."""

    input: Annotated[Input, Meta(description="A text, a list of texts, or token ids.")]
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
    """One served model, as OpenAI lists it, with what an embedder's user wants to know."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    aliases: list[str]
    dimensions: int
    max_tokens: int
    pooling: list[str]
    precision: str
    prompts: dict[str, str]


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


def error_response(err: EmbedError) -> ErrorResponse:
    """The body of a failed request."""
    return ErrorResponse(ErrorBody(message=str(err), type=err.type, param=err.param, code=err.code))


def decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """A request's body as its struct.

    Raises:
        InvalidRequest: It is not JSON, or a field has the wrong type; ``param`` names the field.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as err:
        raise InvalidRequest(f"The request is not valid: {err}", param=_field(str(err))) from None
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply; send plain lists and strings") from None
    except UnicodeDecodeError as err:
        raise InvalidRequest(f"The body is not UTF-8: {err.reason} at a string's byte {err.start}") from None
    except msgspec.DecodeError as err:
        raise InvalidRequest(f"The body is not valid JSON: {err}") from None


def _field(message: str) -> str | None:
    """The top-level field a msgspec message is about: "... - at `$.input[1]`" is about input."""
    found = re.search(r" - at `\$\.(\w+)[^`]*`$", message) or re.search(
        r"missing required field `(\w+)`$", message
    )
    return found.group(1) if found else None


def parse_input(given: Input, *, max_inputs: int) -> Inputs:
    """The request's inputs as texts, or as token ids.

    Raises:
        InvalidRequest: There are none or too many, one is empty, or kinds are mixed.
    """
    if not given and isinstance(given, list):
        raise InvalidRequest("input is an empty list; send at least one text", param="input")
    if isinstance(given, list) and len(given) > max_inputs and not isinstance(given[0], int):
        raise InvalidRequest(
            f"input has {len(given)} items and at most {max_inputs} are taken; send several requests",
            param="input",
        )
    items = _one_kind([given] if isinstance(given, str) else given)
    for index, item in enumerate(items):
        if not item:
            raise InvalidRequest(f"input[{index}] is empty; leave it out", param="input")
    return items


def _one_kind(given: list[str | int | list[int]]) -> Inputs:
    """All texts or all lists of ids; bare ids are one input."""
    texts: Inputs = [item for item in given if isinstance(item, str)]
    lists: Inputs = [item for item in given if isinstance(item, list)]
    ids = [item for item in given if isinstance(item, int)]
    if max(len(texts), len(lists), len(ids)) < len(given):
        raise InvalidRequest("input mixes texts and token ids; send one kind in a request", param="input")
    return [ids] if ids else texts + lists


def encode_vector(vector: np.ndarray, encoding_format: EncodingFormat | None) -> msgspec.Raw:
    """A float32 vector [dimensions] as JSON: numbers, or base64 of the little-endian bytes."""
    if encoding_format == "base64":
        return msgspec.Raw(b'"' + base64.b64encode(vector.astype("<f4", copy=False).tobytes()) + b'"')
    return msgspec.Raw(msgspec.json.encode(vector.tolist()))
