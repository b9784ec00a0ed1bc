"""What a model did for one request, besides its results."""

from typing import Any

import msgspec

from embed_onnx.models.tokenizer import Tokens
from embed_onnx.scheduling.jobs import Job


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs as the model saw them, and how long it took."""

    tokens: list[Tokens]
    tokenize_seconds: float
    queue_seconds: float
    infer_seconds: float
    hits: int
    """Sequences whose results were in the cache."""

    @property
    def num_tokens(self) -> int:
        """Tokens of all inputs, special tokens included, after truncation."""
        return sum(item.num_tokens for item in self.tokens)


def stages(job: Job[Any], started: float) -> dict[str, float]:
    """The seconds of an outcome, of a finished job whose request began at that time."""
    return {
        "tokenize_seconds": job.submitted - started,
        "queue_seconds": max(0.0, job.started - job.submitted),  # never started if there are only zeros
        "infer_seconds": job.finished - job.started,
    }
