"""What can go wrong at export."""

from embed_onnx.errors import SetupError


class ExportError(SetupError):
    """A checkpoint cannot be found, read or converted, or its artifact is too far from it."""


class DatasetError(SetupError):
    """A file that was given to measure with cannot be read, or a line of it is wrong."""
