"""A model of token vectors in the shape of Sentence-Transformers' ``MultiVectorEncoder``.

``MultiVectorTextEncoder(model)`` stands where ``encode``, ``encode_query``, ``encode_document``,
``similarity`` or ``similarity_pairwise`` of a ``MultiVectorEncoder`` is called. Tensors need PyTorch; arrays
do not.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from embed_onnx.engine import maxsim
from embed_onnx.engine.vectors import Vector
from embed_onnx.errors import InvalidRequest
from embed_onnx.models.inputs import OneOrMore, listed
from embed_onnx.models.model import Model

Role = Literal["query", "document"]


class MultiVectorTextEncoder:
    """The part of ``MultiVectorEncoder`` that programs which only embed and compare call."""

    def __init__(self, model: Model) -> None:
        self.model = model

    @property
    def similarity_fn_name(self) -> str:
        """``maxsim`` or ``meanmaxsim``."""
        return self.model.manifest.token_vectors.similarity

    @property
    def prompts(self) -> dict[str, str]:
        """By name."""
        return self.model.manifest.prompts

    def get_embedding_dimension(self) -> int:
        """The length of a token vector."""
        return self.model.manifest.token_vectors.dimensions

    def encode(  # noqa: PLR0913 - the signature of MultiVectorEncoder.encode
        self,
        inputs: OneOrMore,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,  # noqa: ARG002 - lanes take what fits them
        show_progress_bar: bool | None = None,  # noqa: ARG002 - none is shown
        *,
        convert_to_numpy: bool = False,
        device: str | None = None,  # noqa: ARG002 - it is the CPU
        task: Role | None = None,
    ) -> Any:
        """The token vectors of texts, [vectors, dimensions] each, in a list; of one text alone, its own.

        They are tensors, or with ``convert_to_numpy`` arrays. ``batch_size``, ``show_progress_bar`` and
        ``device`` are taken and change nothing. Without a ``task``, texts are read as documents and have no
        prompt unless there is one.

        Raises:
            InvalidRequest: PyTorch is not installed, or an option or an input is wrong.
        """
        _, alone = listed(inputs)
        if prompt is None:
            prompt = "" if prompt_name is None else self._prompt(prompt_name)
        vectors = self.model.encode_tokens(inputs, prompt=prompt, prompt_name=task or "document")
        results = vectors if convert_to_numpy else [_tensor(rows) for rows in vectors]
        return results[0] if alone else results

    def encode_query(self, inputs: OneOrMore, prompt_name: str | None = None, **options: Any) -> Any:
        """``encode`` of queries, with their prompt unless there is another."""
        return self.encode(inputs, prompt_name or "query", task="query", **options)

    def encode_document(self, inputs: OneOrMore, prompt_name: str | None = None, **options: Any) -> Any:
        """``encode`` of documents, with their prompt unless there is another."""
        return self.encode(inputs, prompt_name or "document", task="document", **options)

    def similarity(self, embeddings1: Sequence[Any], embeddings2: Sequence[Any]) -> Any:
        """A score of each query with each document, a tensor [queries, documents]."""
        queries, documents = _arrays(embeddings1), _arrays(embeddings2)
        return _tensor(np.array([self._scores(query, documents) for query in queries], np.float32))

    def similarity_pairwise(self, embeddings1: Sequence[Any], embeddings2: Sequence[Any]) -> Any:
        """A score of each query with the document at its place, a tensor [queries].

        Raises:
            InvalidRequest: There are not as many of both.
        """
        queries, documents = _arrays(embeddings1), _arrays(embeddings2)
        if len(queries) != len(documents):
            raise InvalidRequest(
                f"there are {len(queries)} queries and {len(documents)} documents; give as many of both"
            )
        pairs = zip(queries, documents, strict=True)
        return _tensor(np.array([self._scores(query, [rows])[0] for query, rows in pairs], np.float32))

    def _scores(self, query: Vector, documents: Sequence[Vector]) -> Vector:
        scores = maxsim.scores(query, documents)
        return scores / np.float32(max(1, len(query))) if self.similarity_fn_name == "meanmaxsim" else scores

    def _prompt(self, name: str) -> str:
        if name not in self.prompts:
            raise InvalidRequest(
                f"prompt_name {name[:80]!r} is unknown; this model has {', '.join(self.prompts)}",
                param="prompt_name",
            )
        return self.prompts[name]


def _arrays(embeddings: Any) -> list[Vector]:
    """A list of matrices as arrays; one matrix is a list of one."""
    alone = getattr(embeddings, "ndim", 0) == 2
    return [np.asarray(rows, np.float32) for rows in ([embeddings] if alone else embeddings)]


def _tensor(array: Vector) -> Any:
    try:
        import torch  # noqa: PLC0415 - needed for tensors alone
    except ModuleNotFoundError:
        raise InvalidRequest(
            "tensors need PyTorch, which is not installed; take convert_to_numpy=True"
        ) from None
    return torch.tensor(array)
