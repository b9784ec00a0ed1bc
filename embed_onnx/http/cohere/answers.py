"""What its answers have in common: the version of its API, and the shape of its errors."""

import msgspec

from embed_onnx.http.errors import ErrorShape


class ApiVersion(msgspec.Struct, frozen=True):
    """The version of Cohere's API."""

    version: str = "2"


class CohereError(msgspec.Struct, frozen=True):
    """Every error on its routes, but on the first version's for ranks, which is others' as well."""

    message: str


ERRORS = ErrorShape(body=CohereError, write=lambda err, _: CohereError(str(err)))
