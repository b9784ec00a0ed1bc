"""What its answers have in common: the version of its API, and the shape of its errors."""

from typing import Annotated

import msgspec
from msgspec import Meta

from embed_onnx.http.errors import ErrorShape


class ApiVersion(msgspec.Struct, frozen=True):
    """The version of Cohere's API."""

    version: Annotated[str, Meta(description="Of Cohere's API.")] = "2"


class CohereError(msgspec.Struct, frozen=True):
    """Every error on its routes, but on the first version's for ranks, which is others' as well."""

    message: Annotated[str, Meta(description="What is wrong: the value, the limit and the way out.")]


ERRORS = ErrorShape(body=CohereError, write=lambda err, _: CohereError(str(err)))
