"""Rows on standard output, of a run or of a few texts: nothing is kept, so that nothing can continue it."""

import sys
from collections.abc import Sequence
from typing import Any

from embed_onnx.bulk import writers
from embed_onnx.bulk.blocks import Reject, fault
from embed_onnx.bulk.inputs import Inputs
from embed_onnx.bulk.journal import State
from embed_onnx.bulk.writers import Rows, Values
from embed_onnx.errors import SetupError
from embed_onnx.models.tokenizer import Tokens


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


def check_texts(texts: Sequence[str]) -> None:
    """Look at the texts of a command line.

    Raises:
        SetupError: One is empty, or not valid UTF-8.
    """
    for number, text in enumerate(texts, start=1):
        if reason := fault(text):
            raise SetupError(f"text {number}: {reason}; leave it out")


def write_texts(tokens: Sequence[Tokens], values: Any, column: Values) -> None:
    """Write what was computed of the texts of a command line, a JSON line each."""
    rows = Rows(
        indexes=range(len(tokens)),
        columns=[],
        tokens=[item.num_tokens for item in tokens],
        truncated=[item.truncated for item in tokens],
        values=values,
    )
    sys.stdout.buffer.writelines(writers.json_lines(Inputs(files=(), kind="txt"), column).encode(rows))
