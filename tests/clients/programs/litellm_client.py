"""LiteLLM with the providers whose wire the server has."""

import asyncio

import litellm
from cases import KEY, MODEL, TEXTS, TOO_LONG, URL, run

litellm.suppress_debug_info = True
VERSIONED = f"{URL}/v1"
ALIAS = "text-embedding-3-small"
STRICT = {"truncate": False}


def vectors(response: litellm.EmbeddingResponse) -> list[list[float]]:
    return [item["embedding"] for item in response.data]


def embed(model: str, api_base: str, texts: list[str] = TEXTS, **arguments: object) -> list[list[float]]:
    arguments = {"api_key": KEY} | arguments
    return vectors(litellm.embedding(model, texts, api_base=api_base, **arguments))


def openai() -> list[list[float]]:
    """It sends ``"encoding_format": null``."""
    return embed(f"openai/{MODEL}", VERSIONED)


def openai_with_floats() -> list[list[float]]:
    return embed(f"openai/{MODEL}", VERSIONED, encoding_format="float")


def openai_dimensions() -> list[list[float]]:
    """It sends them for OpenAI's own names alone."""
    return embed(f"openai/{ALIAS}", VERSIONED, dimensions=8)


async def openai_at_once() -> list[list[float]]:
    calls = [litellm.aembedding(f"openai/{MODEL}", [text], api_base=VERSIONED, api_key=KEY) for text in TEXTS]
    return [vectors(response)[0] for response in await asyncio.gather(*calls)]


def azure() -> list[list[float]]:
    return embed(f"azure/{MODEL}", URL, api_version="2024-10-21")


def ollama() -> list[list[float]]:
    return embed(f"ollama/{MODEL}", URL)


async def ollama_async() -> list[list[float]]:
    return vectors(await litellm.aembedding(f"ollama/{MODEL}", TEXTS, api_base=URL, api_key=KEY))


def huggingface() -> list[list[float]]:
    return embed(f"huggingface/{MODEL}", f"{URL}/embed", input_type="embed")


def huggingface_similarity() -> list[float]:
    return embed(f"huggingface/{MODEL}", f"{URL}/similarity", input_type="similarity")


def hosted_vllm() -> list[list[float]]:
    return embed(f"hosted_vllm/{MODEL}", VERSIONED)


def lm_studio() -> list[list[float]]:
    return embed(f"lm_studio/{MODEL}", VERSIONED)


def infinity() -> list[list[float]]:
    return embed(f"infinity/{MODEL}", URL)


def litellm_proxy() -> list[list[float]]:
    return embed(f"litellm_proxy/{MODEL}", VERSIONED)


def nvidia_nim() -> list[list[float]]:
    """With NVIDIA's own words for the kind of text and for cutting."""
    return embed(f"nvidia_nim/{MODEL}", VERSIONED, input_type="passage", truncate="END")


def voyage() -> list[list[float]]:
    return embed(f"voyage/{MODEL}", f"{VERSIONED}/embeddings", input_type="document")


def voyage_dimensions() -> list[list[float]]:
    """Voyage's name for it is ``output_dimension``."""
    return embed(f"voyage/{MODEL}", f"{VERSIONED}/embeddings", dimensions=8)


def cohere() -> list[list[float]]:
    """It sends ``search_document`` where no kind of text is named."""
    return embed(f"cohere/{MODEL}", f"{URL}/v2/embed")


def cohere_dimensions() -> list[list[float]]:
    return embed(f"cohere/{MODEL}", f"{URL}/v2/embed", dimensions=8)


def cohere_int8() -> list[list[float]]:
    """``encoding_format`` is what LiteLLM calls the types."""
    return embed(f"cohere/{MODEL}", f"{URL}/v2/embed", encoding_format="int8")


async def cohere_async() -> list[list[float]]:
    response = await litellm.aembedding(
        f"cohere/{MODEL}", TEXTS, api_base=f"{URL}/v1/embed", api_key=KEY, input_type="search_query"
    )
    return vectors(response)


def mistral() -> list[list[float]]:
    return embed(f"mistral/{MODEL}", VERSIONED)


def voyage_int8() -> list[list[float]]:
    return embed(f"voyage/{MODEL}", f"{VERSIONED}/embeddings", output_dtype="int8")


def jina_ai() -> list[list[float]]:
    return embed(f"jina_ai/{MODEL}", VERSIONED)


def unknown_model() -> None:
    embed("openai/nope", VERSIONED)


def wrong_key() -> None:
    embed(f"openai/{MODEL}", VERSIONED, api_key="wrong")


def too_long() -> None:
    embed(f"openai/{MODEL}", VERSIONED, [TOO_LONG], extra_body=STRICT)


def azure_too_long() -> None:
    embed(f"azure/{MODEL}", URL, [TOO_LONG], api_version="2024-10-21", extra_body=STRICT)


def ollama_too_long() -> None:
    """LiteLLM knows no such error of Ollama's."""
    embed(f"ollama/{MODEL}", URL, [TOO_LONG], truncate=False)


def too_long_with_a_fallback() -> list[list[float]]:
    """A router goes on with the entry that is for longer texts."""

    def entry(name: str, **arguments: object) -> dict[str, object]:
        parameters = {"model": f"openai/{MODEL}", "api_base": VERSIONED, "api_key": KEY} | arguments
        return {"model_name": name, "litellm_params": parameters}

    router = litellm.Router(
        [entry("strict", extra_body=STRICT), entry("cutting", extra_body={"truncate": True})],
        context_window_fallbacks=[{"strict": ["cutting"]}],
        num_retries=0,
    )
    return vectors(router.embedding("strict", [TOO_LONG]))


async def overload() -> list[str]:
    """The names of what many large requests at a time end with."""
    calls = [
        litellm.aembedding(
            f"openai/{MODEL}",
            [f"{number} {TOO_LONG}" for number in range(4)],
            api_base=VERSIONED,
            api_key=KEY,
            max_retries=0,
        )
        for _ in range(20)
    ]
    ends = await asyncio.gather(*calls, return_exceptions=True)
    return sorted({type(end).__name__ for end in ends})


if __name__ == "__main__":
    run(
        openai,
        openai_with_floats,
        openai_dimensions,
        openai_at_once,
        azure,
        ollama,
        ollama_async,
        huggingface,
        huggingface_similarity,
        hosted_vllm,
        lm_studio,
        infinity,
        litellm_proxy,
        nvidia_nim,
        voyage,
        voyage_dimensions,
        cohere,
        cohere_async,
        cohere_dimensions,
        cohere_int8,
        mistral,
        voyage_int8,
        jina_ai,
        unknown_model,
        wrong_key,
        too_long,
        azure_too_long,
        ollama_too_long,
        too_long_with_a_fallback,
        overload,
    )
