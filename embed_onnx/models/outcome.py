"""What a model did for one request."""

from typing import Any

import msgspec

from embed_onnx.engine.vectors import Vector
from embed_onnx.models.distinct import Distinct
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


class Scored(Outcome, frozen=True, kw_only=True):
    """Logits, float32 [items, labels]."""

    logits: Vector
    bounded: bool = True
    """Whether scores from 0 to 1 are made of them. False: they are sums of maxima, and stay as they are."""


def fields(job: Job[Any], distinct: Distinct, started: float) -> dict[str, Any]:
    """Those of an ``Outcome``, of a finished job whose request began at that time."""
    return {
        "tokens": distinct.inputs,
        "hits": distinct.hits,
        "tokenize_seconds": job.submitted - started,
        "queue_seconds": max(0.0, job.started - job.submitted),  # never started if there are only zeros
        "infer_seconds": job.finished - job.started,
    }
