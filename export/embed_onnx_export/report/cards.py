"""Each kind of output: what makes an artifact of it, measures a card and writes it for people."""

from collections.abc import Callable
from typing import Any

import msgspec

from embed_onnx.artifact.outputs import Dense, Output, Scores, Sparse, TokenVectors
from embed_onnx_export import build, build_scores, build_sparse, build_token_vectors
from embed_onnx_export.progress import Show
from embed_onnx_export.report import (
    comparison,
    report_text,
    score_comparison,
    score_text,
    sparse_comparison,
    sparse_text,
    token_comparison,
    token_text,
)
from embed_onnx_export.report.datasets import Datasets
from embed_onnx_export.report.subject import Subject


class Kind(msgspec.Struct, frozen=True):
    """``make`` fills a folder with an artifact; ``markdown`` takes the card that ``card_of`` gives."""

    make: Callable[..., object]
    card_of: Callable[[Subject, Datasets, Show], Any]
    markdown: Callable[[Any], str]


KINDS: dict[type[Output], Kind] = {
    Dense: Kind(build.build, comparison.card_of, report_text.markdown),
    Scores: Kind(build_scores.make, score_comparison.card_of, score_text.markdown),
    Sparse: Kind(build_sparse.make, sparse_comparison.card_of, sparse_text.markdown),
    TokenVectors: Kind(build_token_vectors.make, token_comparison.card_of, token_text.markdown),
}
