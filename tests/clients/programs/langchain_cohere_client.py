"""LangChain's embeddings for Cohere."""

from cases import KEY, MODEL, TEXTS, URL, run
from langchain_cohere import CohereEmbeddings


def cohere(**arguments: object) -> CohereEmbeddings:
    return CohereEmbeddings(model=MODEL, base_url=URL, cohere_api_key=KEY, **arguments)


def documents() -> list[list[float]]:
    return cohere().embed_documents(TEXTS)


def queries() -> list[list[float]]:
    return [cohere().embed_query(text) for text in TEXTS]


async def at_once() -> list[list[float]]:
    return await cohere().aembed_documents(TEXTS)


def int8() -> list[list[float]]:
    return cohere(embedding_types=["int8"]).embed_documents(TEXTS)


def unknown_model() -> None:
    CohereEmbeddings(model="nope", base_url=URL, cohere_api_key=KEY).embed_query(TEXTS[0])


if __name__ == "__main__":
    run(documents, queries, at_once, int8, unknown_model)
