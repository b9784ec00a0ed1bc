"""LangChain's classes for OpenAI, Azure, Ollama and text-embeddings-inference."""

import contextlib

from cases import KEY, MODEL, TEXTS, URL, run
from huggingface_hub import InferenceClient
from langchain_huggingface import HuggingFaceEndpointEmbeddings
from langchain_ollama import OllamaEmbeddings
from langchain_openai import AzureOpenAIEmbeddings, OpenAIEmbeddings
from openai import BadRequestError

SENTENCES = [
    "hello world",
    "The quick brown fox jumps over the lazy dog.",
    "Interest rates rose again.",
    "How do I reset my password?",
    "ok",
    "Two plus two is four, as far as anybody knows.",
]


def openai(**arguments: object) -> OpenAIEmbeddings:
    return OpenAIEmbeddings(model=MODEL, base_url=f"{URL}/v1", api_key=KEY, **arguments)


def ollama(model: str = MODEL, **arguments: object) -> OllamaEmbeddings:
    headers = {"authorization": f"Bearer {KEY}"}
    return OllamaEmbeddings(model=model, base_url=URL, client_kwargs={"headers": headers}, **arguments)


def openai_defaults_query() -> list[float]:
    """It sends OpenAI's token ids."""
    return openai().embed_query(TEXTS[0])


def openai_defaults_documents() -> list[list[float]]:
    return openai().embed_documents(TEXTS)


def openai_defaults_sentence_by_sentence() -> list[list[float]]:
    """The vectors of those sentences that are not refused."""
    vectors = []
    for sentence in SENTENCES:
        with contextlib.suppress(BadRequestError):
            vectors.append(openai().embed_query(sentence))
    return vectors


def openai_texts() -> list[list[float]]:
    return openai(check_embedding_ctx_length=False).embed_documents(TEXTS)


async def openai_async() -> list[list[float]]:
    return await openai(check_embedding_ctx_length=False).aembed_documents(TEXTS)


def openai_dimensions() -> list[list[float]]:
    return openai(check_embedding_ctx_length=False, dimensions=8).embed_documents(TEXTS)


def azure() -> list[list[float]]:
    embeddings = AzureOpenAIEmbeddings(
        model=MODEL,
        azure_endpoint=URL,
        api_key=KEY,
        api_version="2024-10-21",
        check_embedding_ctx_length=False,
    )
    return embeddings.embed_documents(TEXTS)


def ollama_texts() -> list[list[float]]:
    return ollama(validate_model_on_init=True).embed_documents(TEXTS)


def ollama_alias() -> list[list[float]]:
    return ollama("nomic-embed-text", validate_model_on_init=True).embed_documents(TEXTS)


def ollama_latest() -> list[list[float]]:
    return ollama(f"{MODEL}:latest", validate_model_on_init=True).embed_documents(TEXTS)


async def ollama_async() -> list[list[float]]:
    return await ollama().aembed_documents(TEXTS)


def ollama_unknown_model() -> None:
    ollama("nope", validate_model_on_init=True)


def ollama_options() -> list[list[float]]:
    """Options that change nothing of a vector, and a context of eight tokens, which cuts."""
    return ollama(num_ctx=8, num_thread=4, temperature=0.1, keep_alive=300).embed_documents(TEXTS)


def huggingface() -> list[list[float]]:
    """It takes no URL, and makes clients of its own that have to be replaced."""
    embeddings = HuggingFaceEndpointEmbeddings(huggingfacehub_api_token=KEY)
    embeddings.client = InferenceClient(model=URL, token=KEY)
    return embeddings.embed_documents(TEXTS)


if __name__ == "__main__":
    run(
        openai_defaults_query,
        openai_defaults_documents,
        openai_defaults_sentence_by_sentence,
        openai_texts,
        openai_async,
        openai_dimensions,
        azure,
        ollama_texts,
        ollama_alias,
        ollama_latest,
        ollama_async,
        ollama_unknown_model,
        ollama_options,
        huggingface,
    )
