"""Ollama's own client."""

from typing import Any

import ollama
from cases import KEY, MODEL, TEXTS, TOO_LONG, URL, run

HEADERS = {"authorization": f"Bearer {KEY}"}


def client(key: str = KEY) -> ollama.Client:
    return ollama.Client(URL, headers={"authorization": f"Bearer {key}"})


def texts() -> list[list[float]]:
    return client().embed(MODEL, TEXTS).embeddings


def latest() -> list[list[float]]:
    return client().embed(f"{MODEL}:latest", TEXTS).embeddings


def alias() -> list[list[float]]:
    return client().embed("nomic-embed-text", TEXTS).embeddings


async def texts_async() -> list[list[float]]:
    return (await ollama.AsyncClient(URL, headers=HEADERS).embed(MODEL, TEXTS)).embeddings


def older_route() -> list[list[float]]:
    return [client().embeddings(MODEL, text).embedding for text in TEXTS]


def dimensions() -> list[list[float]]:
    return client().embed(MODEL, TEXTS, dimensions=8).embeddings


def short_context() -> list[list[float]]:
    return client().embed(MODEL, TEXTS, options={"num_ctx": 8}).embeddings


def models() -> list[dict[str, Any]]:
    return [model.model_dump(mode="json") for model in client().list().models]


def running() -> list[str]:
    return [model.model for model in client().ps().models]


def details() -> dict[str, Any]:
    return client().show(MODEL).model_dump(mode="json")


def pull() -> str:
    return client().pull(MODEL).status


def pull_as_a_stream() -> list[str]:
    return [progress.status for progress in client().pull(MODEL, stream=True)]


def pull_unknown() -> None:
    client().pull("nope")


def show_unknown() -> None:
    client().show("nope")


def unknown_model() -> None:
    client().embed("nope", "x")


def wrong_key() -> None:
    client("wrong").embed(MODEL, "x")


def too_long() -> None:
    client().embed(MODEL, TOO_LONG, truncate=False)


def chat() -> None:
    """What is not served fails as an error of this client's, with a sentence."""
    client().chat(MODEL, [{"role": "user", "content": "hello"}])


if __name__ == "__main__":
    run(
        texts,
        latest,
        alias,
        texts_async,
        older_route,
        dimensions,
        short_context,
        models,
        running,
        details,
        pull,
        pull_as_a_stream,
        pull_unknown,
        show_unknown,
        unknown_model,
        wrong_key,
        too_long,
        chat,
    )
