"""What can go wrong at export."""

from embed_onnx.errors import SetupError


class ExportError(SetupError):
    """A checkpoint cannot be found, read or converted, or its artifact is too far from it."""
