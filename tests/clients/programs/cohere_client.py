"""Cohere's own client, of both versions of its API."""

import cohere
from cases import KEY, MODEL, TEXTS, URL, run

QUERY, *DOCUMENTS = TEXTS


def results(answer: object) -> list[list[float]]:
    return [[item.index, item.relevance_score] for item in answer.results]


def first_version() -> list[list[float]]:
    client = cohere.Client(KEY, base_url=URL)
    return results(client.rerank(model=MODEL, query=QUERY, documents=DOCUMENTS))


def second_version() -> list[list[float]]:
    client = cohere.ClientV2(KEY, base_url=URL)
    return results(client.rerank(model=MODEL, query=QUERY, documents=DOCUMENTS))


async def at_once() -> list[list[float]]:
    client = cohere.AsyncClientV2(KEY, base_url=URL)
    return results(await client.rerank(model=MODEL, query=QUERY, documents=DOCUMENTS, top_n=2))


def objects() -> list[str]:
    """Documents with texts, which come back."""
    client = cohere.Client(KEY, base_url=URL)
    documents = [{"text": text} for text in DOCUMENTS]
    answer = client.rerank(model=MODEL, query=QUERY, documents=documents, return_documents=True)
    return [item.document.text for item in sorted(answer.results, key=lambda item: item.index)]


def no_documents() -> None:
    cohere.ClientV2(KEY, base_url=URL).rerank(model=MODEL, query=QUERY, documents=[])


def wrong_key() -> None:
    cohere.ClientV2("wrong", base_url=URL).rerank(model=MODEL, query=QUERY, documents=DOCUMENTS)


if __name__ == "__main__":
    run(first_version, second_version, at_once, objects, no_documents, wrong_key)
