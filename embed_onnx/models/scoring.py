"""What a model that scores gives: logits of pairs as scores, and documents by their scores."""

from collections.abc import Sequence

import msgspec
import numpy as np

from embed_onnx.artifact.manifest import Activation
from embed_onnx.engine.outputs.scores import activated
from embed_onnx.engine.vectors import Vector
from embed_onnx.errors import InvalidRequest
from embed_onnx.models.tokenizer import Tokens


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """One document of a rank, by its place in the request; ``truncated``: it or the query was cut."""

    index: int
    score: float
    truncated: bool
    document: str | None = None


def rank_activation(*, raw_scores: bool) -> Activation:
    """Scores of one label are 0 to 1 whatever its checkpoint has, as clients compare them with thresholds."""
    return "none" if raw_scores else "sigmoid"


def ranked(
    logits: Vector,
    tokens: Sequence[Tokens],
    documents: Sequence[str],
    *,
    top_n: int | None,
    return_documents: bool,
    raw_scores: bool,
) -> list[Ranked]:
    """The documents by their scores, the best first, of equal ones the first; all without ``top_n``."""
    scores = activated(logits, rank_activation(raw_scores=raw_scores))[:, 0]
    order = np.argsort(-logits[:, 0], kind="stable")[:top_n]
    return [
        Ranked(
            index=int(place),
            score=float(scores[place]),
            truncated=tokens[place].truncated,
            document=documents[place] if return_documents else None,
        )
        for place in order
    ]


def check_rank(query: str, documents: Sequence[str], top_n: int | None) -> None:
    """Refuse what cannot be ranked.

    Raises:
        InvalidRequest: A text is empty, there are no documents, or ``top_n`` is below 1.
    """
    if not query:
        raise InvalidRequest("query is empty; send a text", param="query")
    if not documents:
        raise InvalidRequest("documents is an empty list; send at least one text", param="documents")
    for place, document in enumerate(documents):
        if not document:
            raise InvalidRequest(f"documents[{place}] is empty; leave it out", param="documents")
    if top_n is not None and top_n < 1:
        raise InvalidRequest(f"top_n is {top_n}; send at least 1, or leave it out for all", param="top_n")
