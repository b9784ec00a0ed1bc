"""Queries of a sparse model that take no inference: each of their tokens has a weight in a table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from embed_onnx.artifact.manifest import QUERY_WEIGHTS, Facts, Manifest
from embed_onnx.engine.outputs.sparse import SparseVector
from embed_onnx.engine.vectors import Vector
from embed_onnx.errors import ArtifactError
from embed_onnx.models.inputs import Inputs
from embed_onnx.models.options import Options
from embed_onnx.models.request_tokenizer import RequestTokenizer
from embed_onnx.models.tokenizer import Tokenizer, Tokens


class QueryTable:
    """``weights`` of entries, float32 [entries], and the tokenizer of the model with the limit of queries."""

    def __init__(self, weights: Vector, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        """Texts have special tokens around them, as elsewhere; ``contents`` takes them away."""
        self._weights = weights

    @classmethod
    def read(cls, folder: Path, described: Facts, tokenizer: Tokenizer) -> Self | None:
        """That of an artifact's folder; None where its queries take inference.

        Raises:
            ArtifactError: Its file is not a table.
        """
        limit = described.sparse.query_tokens
        if limit is None:
            return None
        try:
            weights = np.load(folder / QUERY_WEIGHTS, allow_pickle=False)
        except (OSError, ValueError) as err:
            raise ArtifactError(
                f"{folder / QUERY_WEIGHTS} cannot be read: {err}; export the model again"
            ) from None
        return cls(weights, tokenizer.with_limit(limit + len(tokenizer.template)))

    def contents(self, tokens: Tokens) -> Tokens:
        """The tokens of a text without the special ones around it."""
        template = self.tokenizer.template
        end = len(tokens.ids) - len(template.after)
        return Tokens(
            tokens.ids[len(template.before) : end], tokens.full_length - len(template), exact=tokens.exact
        )

    def vector(self, ids: Sequence[int]) -> SparseVector:
        """The weights of the tokens that are there, however often, where they are not zero."""
        indices = np.unique(np.asarray(ids, np.int32))
        weights = self._weights[indices]
        return SparseVector(indices[weights != 0], weights[weights != 0])


class QueryTokenizer(RequestTokenizer):
    """Tokenizes queries that a table weighs: without the special tokens around them."""

    def __init__(self, table: QueryTable, manifest: Manifest, options: Options) -> None:
        super().__init__(table.tokenizer, manifest, options)
        self._table = table

    def tokens(self, inputs: Inputs, *, first: int = 0) -> list[Tokens]:
        """As the base class has it."""
        tokens = super().tokens(inputs, first=first)
        return [self._table.contents(item) if item.ids else item for item in tokens]
