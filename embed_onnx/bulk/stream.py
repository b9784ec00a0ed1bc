"""A run whose rows go to standard output: nothing is kept, so that nothing can continue it."""

import sys

from embed_onnx.bulk.blocks import Reject
from embed_onnx.bulk.journal import State


class Stream:
    """What ``Journal`` is to a file; rejects are sentences on standard error."""

    def __init__(self) -> None:
        self.state = State()

    def append(self, rows: list[bytes], rejects: list[Reject]) -> None:
        """Write rows, in order, before the next are computed."""
        sys.stdout.buffer.writelines(rows)
        sys.stdout.buffer.flush()
        for reject in rejects:
            sys.stderr.write(f"{reject.file}, line {reject.line}: {reject.reason}\n")
