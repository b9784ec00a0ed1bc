"""Mistral's own client."""

from cases import KEY, MODEL, TEXTS, URL, run
from mistralai.client import Mistral


def embed(**arguments: object) -> list[list[float]]:
    with Mistral(api_key=KEY, server_url=URL) as client:
        answer = client.embeddings.create(model=MODEL, inputs=TEXTS, **arguments)
    assert answer.usage.prompt_tokens > 0
    return [item.embedding for item in answer.data]


def floats() -> list[list[float]]:
    return embed(metadata={"team": "search"})


def dimensions() -> list[list[float]]:
    return embed(output_dimension=8)


def by_type() -> dict[str, list[list[float]]]:
    types = ("float", "int8", "uint8", "binary", "ubinary")
    return {name: embed(output_dtype=name) for name in types}


async def at_once() -> list[list[float]]:
    async with Mistral(api_key=KEY, server_url=URL) as client:
        answer = await client.embeddings.create_async(model=MODEL, inputs=TEXTS)
    return [item.embedding for item in answer.data]


def unknown_model() -> None:
    with Mistral(api_key=KEY, server_url=URL) as client:
        client.embeddings.create(model="mistral-embed", inputs=TEXTS)


if __name__ == "__main__":
    run(floats, dimensions, by_type, at_once, unknown_model)
