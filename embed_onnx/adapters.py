"""A model in the shape of other libraries, none of which is needed for that.

    LangChainEmbeddings(model)   where LangChain takes an ``Embeddings``
    SentenceEncoder(model)       where ``SentenceTransformer.encode`` is called
    PairScorer(model)            where ``CrossEncoder.predict`` or ``rank`` is called
    LangChainReranker(model)     where LangChain takes a ``BaseDocumentCompressor``

Queries and documents get the prompts that Sentence-Transformers' ``encode_query`` and ``encode_document``
give them: those of these names, where the model has them, or else its default.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from embed_onnx.engine import dtypes
from embed_onnx.engine.dtypes import DType
from embed_onnx.engine.outputs.scores import activated
from embed_onnx.engine.vectors import Vector, normalize
from embed_onnx.errors import InvalidRequest
from embed_onnx.models import tasks
from embed_onnx.models.inputs import Item, OneOrMore, items
from embed_onnx.models.model import Model
from embed_onnx.models.request_pairs import ScoreOptions


class LangChainEmbeddings:
    """LangChain's ``Embeddings``; vectors are lists of floats, as in that interface.

    Where an instance of that class is required, register this one:
    ``langchain_core.embeddings.Embeddings.register(LangChainEmbeddings)``.
    """

    def __init__(self, model: Model) -> None:
        self.model = model

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors of documents."""
        listed: list[list[float]] = self.model.encode(texts, prompt_name="document").tolist()
        return listed

    def embed_query(self, text: str) -> list[float]:
        """The vector of a query."""
        listed: list[float] = self.model.encode(text, prompt_name="query").tolist()
        return listed

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """``embed_documents`` for an event loop."""
        array = await self.model.encode_async(texts, prompt_name="document")
        listed: list[list[float]] = array.tolist()
        return listed

    async def aembed_query(self, text: str) -> list[float]:
        """``embed_query`` for an event loop."""
        array = await self.model.encode_async(text, prompt_name="query")
        listed: list[float] = array.tolist()
        return listed


class SentenceEncoder:
    """The part of ``SentenceTransformer`` that programs which only embed call. Arrays are numpy's.

    Tensors are made on request, and need PyTorch.
    """

    similarity_fn_name: Literal["cosine"] = "cosine"

    def __init__(self, model: Model) -> None:
        self.model = model
        self.model_card_data = _Card()

    @property
    def max_seq_length(self) -> int | None:
        """The most tokens of a text, special tokens included; None is no limit."""
        return self.model.manifest.max_tokens

    @property
    def prompts(self) -> dict[str, str]:
        """By name."""
        return self.model.manifest.prompts

    def get_embedding_dimension(self) -> int:
        """Numbers in a vector."""
        return self.model.manifest.dense.dimensions

    get_sentence_embedding_dimension = get_embedding_dimension

    def encode(  # noqa: PLR0913, PLR0917 - the signature of SentenceTransformer.encode
        self,
        sentences: OneOrMore,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,  # noqa: ARG002 - lanes take what fits them
        show_progress_bar: bool | None = None,  # noqa: ARG002 - none is shown
        output_value: Literal["sentence_embedding"] = "sentence_embedding",
        precision: DType | None = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | None = None,  # noqa: ARG002 - it is the CPU
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
    ) -> Any:
        """An array [texts, dimensions], of one text [dimensions]; or tensors, as in Sentence-Transformers.

        ``batch_size``, ``show_progress_bar`` and ``device`` are taken and change nothing. ``truncate_dim``
        alone does not normalise again; ``normalize_embeddings`` does.

        Raises:
            InvalidRequest: An option or an input is wrong, or is not for vectors of whole texts.
        """
        if output_value != "sentence_embedding":
            raise InvalidRequest(f"output_value is {output_value!r}; there is only sentence_embedding")
        vectors = self.model.encode(sentences, prompt=prompt, prompt_name=prompt_name)[..., :truncate_dim]
        if normalize_embeddings:
            vectors = normalize(vectors)
        array = dtypes.convert(vectors, precision or "float32")
        if convert_to_numpy and not convert_to_tensor:
            return array
        tensor = _tensor(array)
        return tensor if convert_to_tensor or array.ndim == 1 else list(tensor)

    def encode_query(self, sentences: OneOrMore, prompt_name: str | None = None, **options: Any) -> Any:
        """``encode`` with the prompt for queries, where none is given."""
        return self.encode(sentences, _role("query", prompt_name, options), **options)

    def encode_document(self, sentences: OneOrMore, prompt_name: str | None = None, **options: Any) -> Any:
        """``encode`` with the prompt for documents, where none is given."""
        return self.encode(sentences, _role("document", prompt_name, options), **options)

    def similarity(self, embeddings1: ArrayLike, embeddings2: ArrayLike) -> Vector:
        """Cosines of each vector with each, float32 [first, second]."""
        first, second = _unit(embeddings1), _unit(embeddings2)
        cosines: Vector = first @ second.T
        return cosines

    def similarity_pairwise(self, embeddings1: ArrayLike, embeddings2: ArrayLike) -> Vector:
        """Cosines of the vectors in the same places, float32 [pairs]."""
        cosines: Vector = np.einsum("pd,pd->p", _unit(embeddings1), _unit(embeddings2))
        return cosines


class PairScorer:
    """The part of ``CrossEncoder`` that programs which only score call. Arrays are numpy's."""

    def __init__(self, model: Model) -> None:
        self.model = model

    @property
    def num_labels(self) -> int:
        """Numbers a pair."""
        return len(self.model.manifest.scores.labels)

    def predict(  # noqa: PLR0913, PLR0917 - the signature of CrossEncoder.predict
        self,
        inputs: Sequence[Sequence[str]] | Sequence[str],
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,  # noqa: ARG002 - lanes take what fits them
        show_progress_bar: bool | None = None,  # noqa: ARG002 - none is shown
        activation_fn: Callable[[Any], Any] | None = None,
        apply_softmax: bool | None = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | None = None,  # noqa: ARG002 - it is the CPU
        pool: None = None,
        chunk_size: int | None = None,  # noqa: ARG002 - there are no processes
    ) -> Any:
        """Scores by the checkpoint's activation, float32 [pairs], or [pairs, labels] of several labels.

        Of one pair, [] or [labels]. With ``convert_to_tensor`` a tensor, without ``convert_to_numpy`` a list
        of them. ``activation_fn`` gets a tensor of logits [pairs, labels] in place of the checkpoint's
        activation. ``batch_size``, ``show_progress_bar``, ``device`` and ``chunk_size`` change nothing.

        Raises:
            InvalidRequest: There is a prompt or a pool, or what is to be scored is not pairs of texts.
        """
        _check_scoring(prompt_name, prompt, pool)
        alone = len(inputs) > 0 and isinstance(inputs[0], str)
        listed: list[Any] = [tuple(pair) for pair in ([inputs] if alone else inputs)]
        pairs, _ = items(listed)
        array = self._scores(pairs, activation_fn, softmax=bool(apply_softmax))
        if convert_to_numpy and not convert_to_tensor:
            return array[0] if alone else array
        tensor = _tensor(array)
        if alone:
            return tensor[0]
        return tensor if convert_to_tensor else list(tensor)

    def rank(  # noqa: PLR0913, PLR0917 - the signature of CrossEncoder.rank
        self,
        query: str,
        documents: Sequence[str],
        top_k: int | None = None,
        return_documents: bool = False,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,  # noqa: ARG002 - as of predict, and those below too
        show_progress_bar: bool | None = None,  # noqa: ARG002
        activation_fn: Callable[[Any], Any] | None = None,
        device: str | None = None,  # noqa: ARG002
        pool: None = None,
        chunk_size: int | None = None,  # noqa: ARG002
    ) -> list[dict[str, Any]]:
        """``corpus_id`` and ``score`` of each document, the best first, and its ``text`` on request.

        Raises:
            TaskNotSupported: The model is not a reranker.
            InvalidRequest: As of ``predict``.
        """
        tasks.check("rerank", self.model.manifest)
        _check_scoring(prompt_name, prompt, pool)
        pairs, _ = items([(query, document) for document in documents])
        scores = self._scores(pairs, activation_fn, softmax=False)
        order = np.argsort(-scores, kind="stable")[:top_k]
        texts = [{"text": documents[place]} if return_documents else {} for place in order]
        return [
            {"corpus_id": int(place), "score": float(scores[place]), **text}
            for place, text in zip(order, texts, strict=True)
        ]

    def _scores(
        self, pairs: Sequence[Item], activation_fn: Callable[[Any], Any] | None, *, softmax: bool
    ) -> Vector:
        """Scores [pairs], or [pairs, labels] of several labels, as ``CrossEncoder`` makes them of logits."""
        output = self.model.manifest.scores
        logits = self.model.score_now(pairs, ScoreOptions()).logits
        if activation_fn is None:
            scores = activated(logits, output.activation)
        else:
            scores = np.asarray(activation_fn(_tensor(logits)), np.float32)
        if len(output.labels) == 1:
            return scores.reshape(len(pairs))
        return activated(scores, "softmax") if softmax else scores


def _check_scoring(prompt_name: str | None, prompt: str | None, pool: object) -> None:
    """Refuse what a ``CrossEncoder`` takes and scores here cannot have."""
    if prompt_name is not None or prompt is not None:
        raise InvalidRequest("models that score take no prompts; put the prompt before the texts")
    if pool is not None:
        raise InvalidRequest("there are no pools of processes; load the model with threads=")


class LangChainReranker:
    """LangChain's ``BaseDocumentCompressor``: the documents that answer a query best, with their scores.

    Where an instance of that class is required, register this one:
    ``langchain_core.documents.BaseDocumentCompressor.register(LangChainReranker)``.
    """

    def __init__(self, model: Model, *, top_n: int | None = 3) -> None:
        self.model = model
        self.top_n = top_n

    def compress_documents(self, documents: Sequence[Any], query: str, callbacks: Any = None) -> list[Any]:  # noqa: ARG002 - LangChain's signature
        """Copies of the best documents, whose metadata have a ``relevance_score``."""
        if not documents:
            return []
        results = self.model.rank(query, [each.page_content for each in documents], top_n=self.top_n)
        return [_with_score(documents[result.index], result.score) for result in results]

    async def acompress_documents(
        self,
        documents: Sequence[Any],
        query: str,
        callbacks: Any = None,  # noqa: ARG002 - LangChain's signature
    ) -> list[Any]:
        """``compress_documents`` for an event loop."""
        if not documents:
            return []
        texts = [each.page_content for each in documents]
        results = await self.model.rank_async(query, texts, top_n=self.top_n)
        return [_with_score(documents[result.index], result.score) for result in results]


def _with_score(document: Any, score: float) -> Any:
    """A copy of a document of LangChain's, with a score."""
    return document.model_copy(update={"metadata": {**document.metadata, "relevance_score": score}})


class _Card:
    """Where evaluators of Sentence-Transformers write figures for a model card; they are not kept."""

    def set_evaluation_metrics(self, *_: object) -> None:
        """Do nothing."""


def _role(role: str, prompt_name: str | None, options: dict[str, Any]) -> str | None:
    """The prompt of the options, else that of a role."""
    return role if prompt_name is None and options.get("prompt") is None else prompt_name


def _unit(embeddings: ArrayLike) -> Vector:
    """Vectors of length 1, float32 [n, dimensions]; one vector is a list of one."""
    return normalize(np.atleast_2d(np.asarray(embeddings, np.float32)))


def _tensor(array: dtypes.Stored) -> Any:
    try:
        import torch  # noqa: PLC0415 - needed for tensors alone
    except ModuleNotFoundError:
        raise InvalidRequest("tensors need PyTorch, which is not installed; take numpy arrays") from None
    return torch.from_numpy(array)
