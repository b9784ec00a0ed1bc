"""Clients that rerank: Cohere's own, LiteLLM as five providers, Haystack as text-embeddings-inference."""

from collections.abc import Iterator
from functools import cache

import client_programs
import kept
import numpy as np
import pytest
from client_programs import TEXTS, Drive
from harness import RERANKER, Server

from embed_onnx import Model

KEY = "a-key"
QUERY, *DOCUMENTS = TEXTS


@pytest.fixture(scope="module")
def rank_with(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    """Run a program in an environment, once; what each of its cases gave."""
    with Server(["--api-keys", KEY], {}, kept.scoring()) as server:
        server.wait_ready()

        @cache
        def start(environment: str, program: str) -> client_programs.Outcomes:
            home = tmp_path_factory.mktemp(environment)
            return client_programs.run(environment, program, [server.url, KEY, RERANKER], home)

        yield start


@pytest.fixture(scope="module")
def expected() -> list[tuple[int, np.float32]]:
    with Model.load(kept.scoring() / "artifacts" / RERANKER) as model:
        return [(item.index, np.float32(item.score)) for item in model.rank(QUERY, DOCUMENTS)]


def rows(answer: list[list[float]]) -> list[tuple[int, np.float32]]:
    return [(int(index), np.float32(score)) for index, score in answer]


@pytest.mark.parametrize("case", ["first_version", "second_version"])
def test_cohere(rank_with: Drive, expected: list[tuple[int, np.float32]], case: str) -> None:
    assert expected == rows(rank_with("cohere", "cohere_client.py")[case].answer)


def test_options_of_cohere(rank_with: Drive, expected: list[tuple[int, np.float32]]) -> None:
    outcomes = rank_with("cohere", "cohere_client.py")

    assert expected[:2] == rows(outcomes["at_once"].answer)
    assert DOCUMENTS == outcomes["objects"].answer


@pytest.mark.parametrize(
    ("case", "kind", "sentence"),
    [("no_documents", "BadRequestError", "empty list"), ("wrong_key", "UnauthorizedError", "")],
)
def test_errors_are_coheres_own(rank_with: Drive, case: str, kind: str, sentence: str) -> None:
    outcome = rank_with("cohere", "cohere_client.py")[case]

    assert kind in outcome.kinds
    assert sentence in outcome.message


@pytest.mark.parametrize("provider", ["cohere", "jina_ai", "hosted_vllm", "infinity", "huggingface"])
def test_litellm(rank_with: Drive, expected: list[tuple[int, np.float32]], provider: str) -> None:
    assert expected == rows(rank_with("litellm", "litellm_rerank.py")[provider].answer)


def test_options_of_litellm(rank_with: Drive, expected: list[tuple[int, np.float32]]) -> None:
    outcomes = rank_with("litellm", "litellm_rerank.py")

    assert expected[:1] == rows(outcomes["best"].answer)
    assert sorted(expected) == rows(outcomes["at_once"].answer)
    assert "does not rerank; name one that does: reranker" in outcomes["an_embedder"].message


def test_haystack(rank_with: Drive, expected: list[tuple[int, np.float32]]) -> None:
    """Haystack 3 has this ranker in a package of its own."""
    assert expected == rows(rank_with("haystack2", "haystack_rank.py")["rank"].answer)
