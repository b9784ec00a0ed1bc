"""The adapters in the hands of the libraries whose shapes they have."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore
from sentence_transformers import SentenceTransformer, util
from sentence_transformers.sentence_transformer.evaluation import (
    EmbeddingSimilarityEvaluator,
    InformationRetrievalEvaluator,
)

from embed_onnx import Model
from embed_onnx.adapters import LangChainEmbeddings, SentenceEncoder
from embed_onnx.errors import InvalidRequest

TEXTS = [
    "The cat sleeps on the sofa.",
    "Interest rates rose again this quarter.",
    "He scored twice in the second half.",
    "The soup needs more salt and some pepper.",
]
QUERIES = ["a pet at home", "the central bank and money", "a football match", "cooking"]
"""The n-th is about the n-th text."""


@pytest.fixture(scope="module")
def original(home: Path) -> SentenceTransformer:
    """What the small model was made of; it has prompts for queries and for documents."""
    return SentenceTransformer(str(home / "checkpoint"), device="cpu")


def alike(expected: Any, result: Any) -> bool:
    """The same shape, and nearly the same directions."""
    expected, result = np.asarray(expected), np.asarray(result)
    cosines = util.pairwise_cos_sim(np.atleast_2d(expected), np.atleast_2d(result))
    return expected.shape == result.shape and cosines.min().item() > 0.99


@pytest.mark.parametrize("method", ["encode", "encode_query", "encode_document"])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="defaults"),
        pytest.param({"prompt_name": "query"}, id="prompt-name"),
        pytest.param({"prompt": "about: "}, id="prompt"),
        pytest.param({"truncate_dim": 12}, id="truncate-dim"),
        pytest.param({"truncate_dim": 12, "normalize_embeddings": True}, id="truncate-dim-and-normalize"),
        pytest.param({"batch_size": 2, "show_progress_bar": False, "device": "cpu"}, id="of-no-effect"),
        pytest.param({"convert_to_tensor": True}, id="tensor"),
    ],
)
def test_encodes_as_the_original(
    original: SentenceTransformer, small: Model, method: str, options: dict[str, Any]
) -> None:
    """The same calls, for a list and for one text, have results of the same kind, length and direction."""
    for value in (TEXTS, TEXTS[0]):
        expected = getattr(original, method)(value, **options)
        actual = getattr(SentenceEncoder(small), method)(value, **options)

        assert type(expected) is type(actual)
        assert alike(expected, actual)
        lengths = [np.linalg.norm(vectors, axis=-1) for vectors in (expected, actual)]
        assert np.allclose(*lengths, rtol=0.01)


def test_lists_of_tensors_and_bits(original: SentenceTransformer, small: Model) -> None:
    """Without numpy and without one tensor there is a list of tensors; packed bits are nearly the same."""
    ours = SentenceEncoder(small)
    expected = np.unpackbits(original.encode(TEXTS, precision="ubinary"), axis=-1)

    listed = ours.encode(TEXTS, convert_to_numpy=False)
    bits = np.unpackbits(ours.encode(TEXTS, precision="ubinary"), axis=-1)

    assert [torch.Size([32])] * 4 == [vector.shape for vector in listed]
    assert expected.shape == bits.shape
    assert (expected == bits).mean() > 0.9


def test_facts_and_similarities(original: SentenceTransformer, small: Model) -> None:
    ours = SentenceEncoder(small)
    vectors = original.encode(TEXTS)
    others = np.roll(vectors, 1, axis=0)

    assert original.max_seq_length == ours.max_seq_length
    assert original.get_embedding_dimension() == ours.get_embedding_dimension()
    assert original.get_embedding_dimension() == ours.get_sentence_embedding_dimension()
    assert original.prompts == ours.prompts
    assert original.similarity_fn_name == ours.similarity_fn_name
    assert np.allclose(original.similarity(vectors[0], vectors), ours.similarity(vectors[0], vectors))
    pairs = ours.similarity_pairwise(vectors, others)
    assert np.allclose(original.similarity_pairwise(vectors, others), pairs, atol=1e-6)


def test_what_is_no_vector_of_a_text_is_refused(small: Model) -> None:
    with pytest.raises(InvalidRequest, match="only sentence_embedding"):
        SentenceEncoder(small).encode(TEXTS, output_value="token_embeddings")


def test_semantic_search_finds_the_text_of_each_query(minilm: Model) -> None:
    """Sentence-Transformers' search over our arrays."""
    ours = SentenceEncoder(minilm)

    hits = util.semantic_search(ours.encode_query(QUERIES), ours.encode_document(TEXTS), top_k=1)

    assert [0, 1, 2, 3] == [hit[0]["corpus_id"] for hit in hits]


def test_evaluators_take_it(original: SentenceTransformer, small: Model, minilm: Model) -> None:
    """Evaluators of Sentence-Transformers judge an artifact as they judge its original."""
    similarity = EmbeddingSimilarityEvaluator(TEXTS, TEXTS[1:] + TEXTS[:1], [0.1, 0.7, 0.3, 0.5])
    numbers = [str(number) for number in range(4)]
    retrieval = InformationRetrievalEvaluator(
        dict(zip(numbers, QUERIES, strict=True)),
        dict(zip(numbers, TEXTS, strict=True)),
        {number: {number} for number in numbers},
        score_functions={"cosine": util.cos_sim},
    )

    expected = similarity(original)
    actual = similarity(SentenceEncoder(small))

    assert expected.keys() == actual.keys()
    assert abs(expected["pearson_cosine"] - actual["pearson_cosine"]) < 0.05
    assert 1 == retrieval(SentenceEncoder(minilm))["cosine_accuracy@1"]


def test_langchain_searches_documents(minilm: Model) -> None:
    """LangChain's own vector store, filled and asked, also from an event loop."""
    store = InMemoryVectorStore(LangChainEmbeddings(minilm))
    store.add_texts(TEXTS)

    actual = [store.similarity_search(query, k=1)[0].page_content for query in QUERIES]

    async def ask() -> list[str]:
        other = InMemoryVectorStore(LangChainEmbeddings(minilm))
        await other.aadd_texts(TEXTS)
        return [(await other.asimilarity_search(query, k=1))[0].page_content for query in QUERIES]

    assert TEXTS == actual
    assert TEXTS == asyncio.run(ask())


def test_langchain_prompts(original: SentenceTransformer, small: Model) -> None:
    """Documents and queries have the prompts of the model; vectors are lists of Python's floats."""
    ours = LangChainEmbeddings(small)

    documents, query = ours.embed_documents(TEXTS), ours.embed_query(QUERIES[0])

    assert alike(original.encode_document(TEXTS), documents)
    assert alike(original.encode_query(QUERIES[0]), query)
    assert documents == asyncio.run(ours.aembed_documents(TEXTS))
    assert query == asyncio.run(ours.aembed_query(QUERIES[0]))
    assert [float, float] == [type(documents[0][0]), type(query[0])]
    assert [] == ours.embed_documents([])


def test_langchain_has_no_other_methods() -> None:
    """It has all that the interface has, and can be registered as one of its instances."""
    request = {name for name in vars(Embeddings) if not name.startswith("_")}

    Embeddings.register(LangChainEmbeddings)

    assert request == {name for name in vars(LangChainEmbeddings) if not name.startswith("_")}
    assert issubclass(LangChainEmbeddings, Embeddings)


def test_neither_library_is_loaded() -> None:
    """In a fresh interpreter, the adapters bring nothing with them."""
    heavy = {"torch", "langchain_core", "sentence_transformers", "transformers"}
    code = f"import sys, embed_onnx.adapters; print(sorted({heavy} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]\n" == done.stdout
