"""mem0's embedders, alone and in a memory that asks no language model."""

import os

from cases import KEY, MODEL, TEXTS, URL, run
from mem0 import Memory
from mem0.configs.embeddings.base import BaseEmbedderConfig
from mem0.embeddings.ollama import OllamaEmbedding
from mem0.embeddings.openai import OpenAIEmbedding

os.environ["OLLAMA_API_KEY"] = KEY
"""mem0 has no setting for it; Ollama's client reads this."""
FACTS = ["The cat sleeps on the sofa.", "Interest rates rose again.", "The soup needs more salt."]


def ollama(model: str | None = None) -> OllamaEmbedding:
    """Made for a model that is not listed, it pulls the model first."""
    return OllamaEmbedding(BaseEmbedderConfig(model=model, ollama_base_url=URL))


def openai(**arguments: object) -> OpenAIEmbedding:
    return OpenAIEmbedding(BaseEmbedderConfig(api_key=KEY, openai_base_url=f"{URL}/v1", **arguments))


def ollama_text() -> list[float]:
    return ollama(MODEL).embed(TEXTS[0])


def ollama_texts() -> list[list[float]]:
    return ollama(MODEL).embed_batch(TEXTS)


def ollama_defaults() -> list[list[float]]:
    """Its default is ``nomic-embed-text``, an alias here."""
    return ollama().embed_batch(TEXTS)


def ollama_unknown_model() -> None:
    ollama("nope")


def openai_text() -> list[float]:
    return openai(model=MODEL).embed(TEXTS[0])


def openai_defaults() -> list[list[float]]:
    """Its default is ``text-embedding-3-small``, an alias here."""
    return openai().embed_batch(TEXTS)


def openai_dimensions() -> list[list[float]]:
    return openai(embedding_dims=8).embed_batch(TEXTS)


def memory() -> list[str]:
    """What is remembered, the best match of a query first."""
    config = {
        "embedder": {
            "provider": "ollama",
            "config": {"model": MODEL, "ollama_base_url": URL, "embedding_dims": 384},
        },
        "llm": {"provider": "openai", "config": {"api_key": "unused"}},
        "vector_store": {"provider": "qdrant", "config": {"path": "qdrant", "embedding_model_dims": 384}},
        "history_db_path": "history.db",
    }
    remembered = Memory.from_config(config)
    for fact in FACTS:
        remembered.add(fact, user_id="somebody", infer=False)
    answer = remembered.search("money", filters={"user_id": "somebody"})
    return [item["memory"] for item in answer["results"]]


if __name__ == "__main__":
    run(
        ollama_text,
        ollama_texts,
        ollama_defaults,
        ollama_unknown_model,
        openai_text,
        openai_defaults,
        openai_dimensions,
        memory,
    )
