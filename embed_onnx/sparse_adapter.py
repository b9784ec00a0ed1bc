"""A sparse model in the shape of Sentence-Transformers' ``SparseEncoder``; tensors need PyTorch.

``SparseTextEncoder(model)`` stands where ``encode``, ``encode_query``, ``encode_document``, ``similarity`` or
``decode`` of a ``SparseEncoder`` is called.
"""

from typing import Any, Literal

import numpy as np

from embed_onnx.errors import InvalidRequest
from embed_onnx.models.inputs import OneOrMore, listed
from embed_onnx.models.model import Model
from embed_onnx.models.sparse import SparseRows


class SparseTextEncoder:
    """The part of ``SparseEncoder`` that programs which only embed call.

    Tensors are sparse, float32 in COO, or with all their zeros where ``convert_to_sparse_tensor`` is False.
    """

    similarity_fn_name: Literal["dot"] = "dot"

    def __init__(self, model: Model) -> None:
        self.model = model

    @property
    def max_seq_length(self) -> int | None:
        """The most tokens of a text, special tokens included; None is no limit."""
        return self.model.manifest.max_tokens

    @property
    def prompts(self) -> dict[str, str]:
        """By name."""
        return self.model.manifest.prompts

    def get_embedding_dimension(self) -> int:
        """Entries of the vocabulary."""
        return self.model.manifest.sparse.entries

    get_sentence_embedding_dimension = get_embedding_dimension

    def encode(  # noqa: PLR0913, PLR0917 - the signature of SparseEncoder.encode
        self,
        inputs: OneOrMore,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,  # noqa: ARG002 - lanes take what fits them
        show_progress_bar: bool | None = None,  # noqa: ARG002 - none is shown
        convert_to_tensor: bool = True,
        convert_to_sparse_tensor: bool = True,
        save_to_cpu: bool = False,  # noqa: ARG002 - it is there
        device: str | None = None,  # noqa: ARG002 - it is the CPU
        max_active_dims: int | None = None,
    ) -> Any:
        """A tensor [texts, entries], of one text [entries]; without ``convert_to_tensor`` a list of tensors.

        ``batch_size``, ``show_progress_bar``, ``save_to_cpu`` and ``device`` are taken and change nothing.

        Raises:
            InvalidRequest: PyTorch is not installed, or an option or an input is wrong.
        """
        _, alone = listed(inputs)
        rows = self.model.encode_sparse(
            inputs, prompt=prompt, prompt_name=prompt_name, max_active_dims=max_active_dims
        )
        tensor = _tensor(rows)
        if not convert_to_sparse_tensor:
            tensor = tensor.to_dense()
        if alone:
            return tensor[0]
        return tensor if convert_to_tensor else list(tensor)

    def encode_query(self, inputs: OneOrMore, prompt_name: str | None = None, **options: Any) -> Any:
        """``encode`` with the prompt for queries, where none is given."""
        return self.encode(inputs, self._role("query", prompt_name, options), **options)

    def encode_document(self, inputs: OneOrMore, prompt_name: str | None = None, **options: Any) -> Any:
        """``encode`` with the prompt for documents, where none is given."""
        return self.encode(inputs, self._role("document", prompt_name, options), **options)

    @staticmethod
    def similarity(embeddings1: Any, embeddings2: Any) -> Any:
        """The product of each vector with each, a tensor [first, second] with all its zeros."""
        first, second = _matrix(embeddings1), _matrix(embeddings2)
        return (first @ second.T.to_dense()).to_dense()

    def decode(self, embeddings: Any, top_k: int | None = None) -> Any:
        """The entries of a vector with their weights, the greatest first; of a matrix, such a list a row."""
        if embeddings.ndim == 1:
            return self._decoded(embeddings, top_k)
        return [self._decoded(row, top_k) for row in embeddings]

    def _decoded(self, row: Any, top_k: int | None) -> list[tuple[str, float]]:
        sparse = row.to_sparse().coalesce()
        order = sparse.values().argsort(descending=True, stable=True)[:top_k]
        words = self.model.terms(sparse.indices()[0][order].tolist())
        return list(zip(words, sparse.values()[order].tolist(), strict=True))

    @staticmethod
    def _role(role: str, prompt_name: str | None, options: dict[str, Any]) -> str | None:
        """The prompt of the options, else that of a role."""
        return role if prompt_name is None and options.get("prompt") is None else prompt_name


def _matrix(embeddings: Any) -> Any:
    """A sparse or dense tensor of rows; one vector is a matrix of one."""
    return embeddings if embeddings.ndim > 1 else embeddings.unsqueeze(0)


def _tensor(rows: SparseRows) -> Any:
    """The same in COO, as Sentence-Transformers returns it."""
    try:
        import torch  # noqa: PLC0415 - needed for tensors alone
    except ModuleNotFoundError:
        raise InvalidRequest(
            "tensors need PyTorch, which is not installed; take the rows of Model.encode_sparse"
        ) from None
    places = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    indices = torch.from_numpy(np.stack([places, rows.indices.astype(np.int64)]))
    weights = torch.from_numpy(rows.weights)
    return torch.sparse_coo_tensor(indices, weights, rows.shape, check_invariants=False, is_coalesced=True)
