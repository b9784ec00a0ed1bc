"""Voyage's own client, which requests base64 and reads it by the type of the numbers."""

import voyageai
from cases import KEY, MODEL, TEXTS, TOO_LONG, URL, run


def embed(texts: list[str] = TEXTS, **arguments: object) -> list[list[float]]:
    client = voyageai.Client(KEY, base_url=f"{URL}/v1")
    answer = client.embed(texts, model=MODEL, **arguments)
    assert answer.total_tokens > 0
    return answer.embeddings


def floats() -> list[list[float]]:
    return embed(input_type="document")


def dimensions() -> list[list[float]]:
    return embed(input_type="query", output_dimension=8)


def by_type() -> dict[str, list[list[float]]]:
    types = ("float", "int8", "uint8", "binary", "ubinary")
    return {name: embed(output_dtype=name) for name in types}


async def at_once() -> list[list[float]]:
    client = voyageai.AsyncClient(KEY, base_url=f"{URL}/v1")
    return (await client.embed(TEXTS, model=MODEL)).embeddings


def too_long() -> None:
    embed([TOO_LONG], truncation=False)


def wrong_key() -> None:
    voyageai.Client("wrong", base_url=f"{URL}/v1").embed(TEXTS, model=MODEL)


if __name__ == "__main__":
    run(floats, dimensions, by_type, at_once, too_long, wrong_key)
