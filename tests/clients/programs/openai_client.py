"""OpenAI's client: 1, 2 or 3."""

import asyncio

import openai
from cases import KEY, MODEL, TEXTS, TOO_LONG, URL, run

VERSIONED, BARE = f"{URL}/v1", URL


def client(base_url: str = VERSIONED, key: str = KEY, retries: int = 2) -> openai.OpenAI:
    return openai.OpenAI(base_url=base_url, api_key=key, max_retries=retries)


def azure(**arguments: str) -> openai.AzureOpenAI:
    return openai.AzureOpenAI(azure_endpoint=URL, api_version="2024-10-21", **arguments)


def vectors(response: openai.types.CreateEmbeddingResponse) -> list[list[float]]:
    return [item.embedding for item in response.data]


def one_text() -> list[list[float]]:
    return vectors(client().embeddings.create(model=MODEL, input=TEXTS[0]))


def texts() -> list[list[float]]:
    return vectors(client().embeddings.create(model=MODEL, input=TEXTS))


def texts_as_floats() -> list[list[float]]:
    return vectors(client().embeddings.create(model=MODEL, input=TEXTS, encoding_format="float"))


def texts_as_base64() -> list[str]:
    """Asked for by name, base64 is left to the caller to decode."""
    return vectors(client().embeddings.create(model=MODEL, input=TEXTS, encoding_format="base64"))


def dimensions() -> list[list[float]]:
    return vectors(client().embeddings.create(model=MODEL, input=TEXTS, dimensions=8))


def int8() -> None:
    """It requests base64 by itself, and would read it as float32."""
    client().embeddings.create(model=MODEL, input=TEXTS, extra_body={"output_dtype": "int8"})


def int8_as_numbers() -> list[list[float]]:
    return vectors(
        client().embeddings.create(
            model=MODEL, input=TEXTS, encoding_format="float", extra_body={"output_dtype": "int8"}
        )
    )


def float16_as_base64() -> list[str]:
    """As vLLM's documentation has it."""
    words = {"embed_dtype": "float16", "endianness": "big"}
    return vectors(
        client().embeddings.create(model=MODEL, input=TEXTS, encoding_format="base64", extra_body=words)
    )


def without_a_version() -> list[list[float]]:
    return vectors(client(BARE).embeddings.create(model=MODEL, input=TEXTS))


async def at_once() -> list[list[float]]:
    async with openai.AsyncOpenAI(base_url=VERSIONED, api_key=KEY) as opened:
        calls = [opened.embeddings.create(model=MODEL, input=text) for text in TEXTS]
        return [vectors(response)[0] for response in await asyncio.gather(*calls)]


def azure_by_model() -> list[list[float]]:
    return vectors(azure(api_key=KEY).embeddings.create(model=MODEL, input=TEXTS))


def azure_by_deployment() -> list[list[float]]:
    """With a deployment in the client, the model in the call is not in the path."""
    opened = azure(api_key=KEY, azure_deployment=MODEL)
    return vectors(opened.embeddings.create(model="whatever the deployment is of", input=TEXTS))


def azure_with_a_token() -> list[list[float]]:
    """Entra's tokens are bearer tokens, as OpenAI's keys are."""
    return vectors(azure(azure_ad_token=KEY).embeddings.create(model=MODEL, input=TEXTS))


def azure_newer_form() -> list[list[float]]:
    """What Azure recommends since 2025: OpenAI's own client, with another base URL."""
    return vectors(client(f"{URL}/openai/v1/").embeddings.create(model=MODEL, input=TEXTS))


def azure_models() -> list[str]:
    return [model.id for model in azure(api_key=KEY).models.list()]


def azure_wrong_key() -> None:
    azure(api_key="wrong").embeddings.create(model=MODEL, input="x")


def azure_unknown_model() -> None:
    azure(api_key=KEY).embeddings.create(model="nope", input="x")


def models() -> list[str]:
    return [model.id for model in client().models.list()]


def models_without_a_version() -> list[str]:
    return [model.id for model in client(BARE).models.list()]


def model() -> str:
    return client().models.retrieve(MODEL).id


def unknown_model() -> None:
    client().embeddings.create(model="nope", input="x")


def empty_text() -> None:
    client().embeddings.create(model=MODEL, input=["x", ""])


def too_long() -> None:
    client().embeddings.create(model=MODEL, input=["x", TOO_LONG], extra_body={"truncate": False})


def cut() -> bool:
    return client().embeddings.create(model=MODEL, input=TOO_LONG).data[0].model_extra["truncated"]


def wrong_key() -> None:
    client(key="wrong").embeddings.create(model=MODEL, input="x")


def foreign_ids() -> None:
    """OpenAI's ids of "hello world"."""
    client().embeddings.create(model=MODEL, input=[[15339, 1917]])


async def flood(retries: int) -> list[str]:
    """The names of what many large requests at a time ended with."""
    async with openai.AsyncOpenAI(base_url=VERSIONED, api_key=KEY, max_retries=retries) as opened:
        calls = [
            opened.embeddings.create(model=MODEL, input=[f"{number} {TOO_LONG}" for number in range(4)])
            for _ in range(20)
        ]
        ends = await asyncio.gather(*calls, return_exceptions=True)
        return sorted({type(end).__name__ for end in ends})


async def overload() -> list[str]:
    return await flood(retries=0)


async def overload_with_retries() -> list[str]:
    return await flood(retries=30)


if __name__ == "__main__":
    run(
        one_text,
        texts,
        texts_as_floats,
        texts_as_base64,
        dimensions,
        int8,
        int8_as_numbers,
        float16_as_base64,
        without_a_version,
        at_once,
        azure_by_model,
        azure_by_deployment,
        azure_with_a_token,
        azure_newer_form,
        azure_models,
        azure_wrong_key,
        azure_unknown_model,
        models,
        models_without_a_version,
        model,
        unknown_model,
        empty_text,
        too_long,
        cut,
        wrong_key,
        foreign_ids,
        overload,
        overload_with_retries,
    )
