"""Errors as Ollama's clients read them."""

import msgspec

from embed_onnx.http.errors import ALWAYS, ErrorShape


class OllamaError(msgspec.Struct, frozen=True):
    """Every error on these routes."""

    error: str


ERRORS = ErrorShape(
    body=OllamaError,
    write=lambda err, _: OllamaError(str(err)),
    always=(*ALWAYS, 405),  # of its paths the app knows whose they are, whatever the method
)
