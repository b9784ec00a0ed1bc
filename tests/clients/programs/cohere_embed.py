"""Cohere's own client, of both versions of its API, with vectors."""

import cohere
from cases import KEY, MODEL, TEXTS, TOO_LONG, URL, run

TYPES = ["float", "int8", "uint8", "binary", "ubinary"]
OPTIONS = {"model": MODEL, "input_type": "search_document"}


def by_type(answer: object) -> dict[str, list[list[float]]]:
    vectors = answer.embeddings
    return {name: getattr(vectors, "float_" if name == "float" else name) for name in TYPES}


def first_version() -> list[list[float]]:
    """It sends several requests and merges their answers."""
    answer = cohere.Client(KEY, base_url=URL).embed(texts=TEXTS, **OPTIONS)
    assert TEXTS == answer.texts
    assert answer.meta.billed_units.input_tokens > 0
    return answer.embeddings


def first_version_by_type() -> dict[str, list[list[float]]]:
    return by_type(cohere.Client(KEY, base_url=URL).embed(texts=TEXTS, embedding_types=TYPES, **OPTIONS))


def second_version() -> list[list[float]]:
    client = cohere.ClientV2(KEY, base_url=URL)
    answer = client.embed(texts=TEXTS, embedding_types=["float"], **OPTIONS)
    assert answer.meta.billed_units.input_tokens > 0
    return answer.embeddings.float_


def second_version_by_type() -> dict[str, list[list[float]]]:
    return by_type(cohere.ClientV2(KEY, base_url=URL).embed(texts=TEXTS, embedding_types=TYPES, **OPTIONS))


def base64() -> list[str]:
    client = cohere.ClientV2(KEY, base_url=URL)
    return client.embed(texts=TEXTS, embedding_types=["base64"], **OPTIONS).embeddings.base64


def inputs() -> list[list[float]]:
    client = cohere.ClientV2(KEY, base_url=URL)
    contents = [{"content": [{"type": "text", "text": text}]} for text in TEXTS]
    return client.embed(inputs=contents, embedding_types=["float"], **OPTIONS).embeddings.float_


def dimensions() -> list[list[float]]:
    client = cohere.ClientV2(KEY, base_url=URL)
    answer = client.embed(texts=TEXTS, output_dimension=8, embedding_types=["float"], **OPTIONS)
    return answer.embeddings.float_


async def at_once() -> list[list[float]]:
    client = cohere.AsyncClientV2(KEY, base_url=URL)
    answer = await client.embed(texts=TEXTS, embedding_types=["float"], **OPTIONS)
    return answer.embeddings.float_


def warnings() -> list[str]:
    client = cohere.ClientV2(KEY, base_url=URL)
    return client.embed(texts=[TOO_LONG], truncate="END", **OPTIONS).meta.warnings


def too_long() -> None:
    cohere.ClientV2(KEY, base_url=URL).embed(texts=[TOO_LONG], truncate="NONE", **OPTIONS)


def unknown_model() -> None:
    cohere.ClientV2(KEY, base_url=URL).embed(
        texts=TEXTS, model="embed-v4.0", input_type="search_query", embedding_types=["float"]
    )


def wrong_key() -> None:
    cohere.Client("wrong", base_url=URL).embed(texts=TEXTS, **OPTIONS)


def image() -> None:
    client = cohere.ClientV2(KEY, base_url=URL)
    client.embed(
        images=["data:image/png;base64,AA=="], model=MODEL, input_type="image", embedding_types=["float"]
    )


if __name__ == "__main__":
    run(
        first_version,
        first_version_by_type,
        second_version,
        second_version_by_type,
        base64,
        inputs,
        dimensions,
        at_once,
        warnings,
        too_long,
        unknown_model,
        wrong_key,
        image,
    )
