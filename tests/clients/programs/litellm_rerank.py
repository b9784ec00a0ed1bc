"""LiteLLM's rerank with the providers whose wire the server has."""

import asyncio

import litellm
from cases import KEY, MODEL, TEXTS, URL, run

litellm.suppress_debug_info = True
QUERY, *DOCUMENTS = TEXTS


def rerank(model: str, api_base: str, **arguments: object) -> list[list[float]]:
    answer = litellm.rerank(
        model=model, query=QUERY, documents=DOCUMENTS, api_base=api_base, api_key=KEY, **arguments
    )
    return [[item["index"], item["relevance_score"]] for item in answer.results]


def cohere() -> list[list[float]]:
    return rerank(f"cohere/{MODEL}", URL)


def jina_ai() -> list[list[float]]:
    return rerank(f"jina_ai/{MODEL}", f"{URL}/v1/rerank")


def hosted_vllm() -> list[list[float]]:
    return rerank(f"hosted_vllm/{MODEL}", URL)


def infinity() -> list[list[float]]:
    """Documents are texts there, and objects with a text here and in every other answer."""
    return rerank(f"infinity/{MODEL}", URL, return_documents=False)


def huggingface() -> list[list[float]]:
    """As to text-embeddings-inference."""
    return rerank(f"huggingface/{MODEL}", URL)


def best() -> list[list[float]]:
    return rerank(f"cohere/{MODEL}", URL, top_n=1)


async def at_once() -> list[list[float]]:
    answers = await asyncio.gather(
        *(
            litellm.arerank(model=f"cohere/{MODEL}", query=QUERY, documents=[text], api_base=URL, api_key=KEY)
            for text in DOCUMENTS
        )
    )
    return [[place, answer.results[0]["relevance_score"]] for place, answer in enumerate(answers)]


def an_embedder() -> None:
    rerank("cohere/small", URL)


if __name__ == "__main__":
    run(cohere, jina_ai, hosted_vllm, infinity, huggingface, best, at_once, an_embedder)
