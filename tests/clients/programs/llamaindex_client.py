"""LlamaIndex's embeddings for servers like OpenAI's, for Ollama and for text-embeddings-inference."""

from cases import KEY, MODEL, TEXTS, URL, run
from llama_index.embeddings.ollama import OllamaEmbedding
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference


def openai_like(**arguments: object) -> OpenAILikeEmbedding:
    return OpenAILikeEmbedding(model_name=MODEL, api_base=f"{URL}/v1", api_key=KEY, **arguments)


def ollama() -> OllamaEmbedding:
    headers = {"authorization": f"Bearer {KEY}"}
    return OllamaEmbedding(model_name=MODEL, base_url=URL, client_kwargs={"headers": headers})


def tei() -> TextEmbeddingsInference:
    return TextEmbeddingsInference(model_name=MODEL, base_url=URL, auth_token=KEY)


def openai_like_texts() -> list[list[float]]:
    return openai_like().get_text_embedding_batch(TEXTS)


async def openai_like_async() -> list[list[float]]:
    return await openai_like().aget_text_embedding_batch(TEXTS)


def openai_like_dimensions() -> list[list[float]]:
    return openai_like(dimensions=8).get_text_embedding_batch(TEXTS)


def ollama_texts() -> list[list[float]]:
    return ollama().get_text_embedding_batch(TEXTS)


async def ollama_async() -> list[list[float]]:
    return await ollama().aget_text_embedding_batch(TEXTS)


def tei_texts() -> list[list[float]]:
    return tei().get_text_embedding_batch(TEXTS)


async def tei_async() -> list[list[float]]:
    return await tei().aget_text_embedding_batch(TEXTS)


if __name__ == "__main__":
    run(
        openai_like_texts,
        openai_like_async,
        openai_like_dimensions,
        ollama_texts,
        ollama_async,
        tei_texts,
        tei_async,
    )
