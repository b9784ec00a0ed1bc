"""Errors as Ollama's clients read them."""

from typing import Annotated

import msgspec
from msgspec import Meta

from embed_onnx.http.errors import ALWAYS, ErrorShape


class OllamaError(msgspec.Struct, frozen=True):
    """Every error on these routes."""

    error: Annotated[str, Meta(description="What is wrong: the value, the limit and the way out.")]


ERRORS = ErrorShape(
    body=OllamaError,
    write=lambda err, _: OllamaError(str(err)),
    always=(*ALWAYS, 405),  # of its paths the app knows whose they are, whatever the method
)
