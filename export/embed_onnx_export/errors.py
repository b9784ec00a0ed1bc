"""What can go wrong at export."""

import errno

from embed_onnx.errors import SetupError


class ExportError(SetupError):
    """A checkpoint cannot be found, read or converted, or its artifact is too far from it."""


class DatasetError(SetupError):
    """A file that was given to measure with cannot be read, or a line of it is wrong."""


def is_exhausted(err: BaseException) -> bool:
    """Whether the cause of an error is this machine's memory or disk, and not a checkpoint or the hub."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return isinstance(err, MemoryError) or (isinstance(err, OSError) and err.errno in full)
